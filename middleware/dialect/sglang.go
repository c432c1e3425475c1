package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

var sglang = description{name: "sglang"}

// sglangSpec has no path of its own: it shares TGI's, and the body shows which of the
// two is meant.
var sglangSpec = Spec{
	Dialect: SGLang, Class: "generate", Method: "POST",
	Permission: PermissionInference, ModelOptional: true,
	answer: []string{"text", "output_ids"}, answerList: true,
	request: requestShape{
		cap:             capShape{name: "max_new_tokens", within: memberSamplingParams},
		own:             []memberID{memberText, memberInputIDs, memberSamplingParams},
		oneAnswerStream: true,
		media: []mediaMember{
			{"image_data", mediumImage}, {"video_data", mediumVideo}, {"audio_data", mediumAudio}, {"input_embeds", mediumVectors},
		},
	},
	reply: meter.Shape{WholeText: true},
}

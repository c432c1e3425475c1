package dialect

import (
	"github.com/penstockhq/penstock/middleware/dialect/internal/mediafile"
	"github.com/penstockhq/penstock/middleware/dialect/internal/meter"
)

// The servers that have a path of their own for plain text: llama-server, TGI, SGLang.

var llamaCpp = description{name: "llamacpp"}

var llamaCppSpec = Spec{
	Dialect: LlamaCpp, Class: "completions", Method: "POST", Paths: []string{"/completion"},
	Permission: PermissionInference, ModelOptional: true,
	answer: []string{"content", "results"}, answerList: true, // a list for several prompts
	request: requestShape{
		cap:             capShape{name: "n_predict", obeyed: setOf(memberPredict), negative: true},
		oneAnswerStream: true,
	},
	reply: meter.Shape{End: meter.EndDone},
}

var tgi = description{name: "tgi"}

var tgiCountHeaders = [2]string{"X-Prompt-Tokens", "X-Generated-Tokens"}

var tgiCap = capShape{name: "max_new_tokens", within: memberParameters}

// tgiSpec shares its path with SGLang. A body for both would leave open which of
// two caps holds.
var tgiSpec = Spec{
	Dialect: TGI, Class: "generate", Method: "POST", Paths: []string{"/generate"},
	Permission: PermissionInference, ModelOptional: true, CountHeaders: tgiCountHeaders,
	answer: []string{"generated_text"}, answerList: true,
	request: requestShape{
		cap:     tgiCap,
		options: setOf(memberParameters, memberSamplingParams),
		twin:    &sglangSpec,
		own:     []memberID{memberInputs, memberParameters},
		mixed:   "the body mixes the members of two servers: inputs and parameters, text and sampling_params",
	},
}

var tgiStreamSpec = Spec{
	Dialect: TGI, Class: "generate", Method: "POST", Paths: []string{"/generate_stream"},
	Permission: PermissionInference, ModelOptional: true, CountHeaders: tgiCountHeaders,
	answer: []string{"generated_text"}, answerList: true,
	request: requestShape{
		cap:     tgiCap,
		stream:  streamAlways,
		usage:   usageDetails,
		options: setOf(memberParameters),
	},
	reply: meter.Shape{End: meter.EndFinished, OnRequest: true},
}

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
			{"image_data", mediafile.Image}, {"video_data", mediafile.Video}, {"audio_data", mediafile.Audio}, {"input_embeds", mediafile.Vectors},
		},
	},
	reply: meter.Shape{WholeText: true},
}

// chooseTwin finds out which of two servers that share a path the call is for.
func (r *requestReader) chooseTwin() error {
	first, second := r.shape, &r.shape.twin.request
	if r.anySeen(first.own) && r.anySeen(second.own) {
		return &RequestError{Message: first.mixed}
	}
	if !r.seen[first.own[0]] {
		r.call.Route.Spec, r.shape = first.twin, second
	}
	return nil
}

func (r *requestReader) anySeen(members []memberID) bool {
	for _, id := range members {
		if r.seen[id] {
			return true
		}
	}
	return false
}

package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

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

package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

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

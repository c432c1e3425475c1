package dialect

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// effect is what a member of a request does to the work of the call.
type effect uint8

const (
	// effectAnswers multiplies the answers. Of several such members the largest counts:
	// some servers take one for another's alias, and no server multiplies two.
	effectAnswers   effect = iota + 1
	effectCap              // caps an answer. Of several the largest counts
	effectFloor            // an answer is at least so long
	effectListed           // lists so many candidates for each token: bounded
	effectWithinCap        // lengthens an answer, up to its cap: nothing to read
	effectRefused          // the call could not be metered
)

// servers is a set of kinds of inference servers.
type servers uint8

const (
	serverOpenAI   servers = 1 << iota // the API as OpenAI describes it
	serverVLLM                         // and those that share its parameters, such as TensorRT-LLM
	serverSGLang                       //
	serverLlamaCpp                     // llama-server
	serverOllama                       //
	serverTGI                          // and the handlers of Hugging Face's pipelines
	serverBackend                      // the bundled backend
)

// workMember is a member of a request that multiplies or lengthens the work.
type workMember struct {
	name    string
	effect  effect
	why     string // of effectRefused
	servers servers
}

const (
	drafting  = "is not supported: how many tokens are drafted is for the operator to set"
	templates = "is not supported: a template can repeat the prompt, and then its length is not known"
	images    = "is not supported: it changes how many tokens an image makes"
	videos    = "is not supported: it changes how many tokens a video makes"
)

// workMembers are the members of all servers' request schemas that multiply or
// lengthen the work. The gate reads them on every path whose body it passes on,
// because what stands behind a path may be any of the servers; wherever they may
// stand: at the top, or in one of the objects that hold options.
var workMembers = [...]workMember{
	{"n", effectAnswers, "", serverOpenAI | serverVLLM | serverSGLang | serverLlamaCpp | serverTGI | serverBackend},
	{"best_of", effectAnswers, "", serverOpenAI | serverVLLM | serverSGLang | serverTGI | serverBackend},
	{"n_cmpl", effectAnswers, "", serverLlamaCpp},
	{"num_return_sequences", effectAnswers, "", serverVLLM | serverTGI},
	{"num_beams", effectAnswers, "", serverTGI},
	{"num_beam_groups", effectAnswers, "", serverTGI},
	{"beam_width", effectAnswers, "", serverVLLM},
	{"samples", effectAnswers, "", serverTGI},

	{"max_tokens", effectCap, "", serverOpenAI | serverVLLM | serverSGLang | serverLlamaCpp | serverOllama | serverTGI | serverBackend},
	{"max_completion_tokens", effectCap, "", serverOpenAI | serverVLLM | serverSGLang | serverLlamaCpp | serverBackend},
	{"max_output_tokens", effectCap, "", serverOpenAI | serverVLLM | serverSGLang | serverLlamaCpp},
	{"n_predict", effectCap, "", serverLlamaCpp},
	{"num_predict", effectCap, "", serverOllama},
	{"max_new_tokens", effectCap, "", serverSGLang | serverTGI},
	{"max_length", effectCap, "", serverTGI},

	{"min_tokens", effectFloor, "", serverVLLM | serverSGLang},
	{"min_new_tokens", effectFloor, "", serverSGLang | serverTGI},
	{"min_length", effectFloor, "", serverTGI},

	{"logprobs", effectListed, "", serverOpenAI | serverVLLM | serverSGLang | serverLlamaCpp | serverBackend},
	{"top_logprobs", effectListed, "", serverOpenAI | serverVLLM | serverSGLang | serverLlamaCpp | serverBackend},
	{"prompt_logprobs", effectListed, "", serverVLLM},
	{"n_probs", effectListed, "", serverLlamaCpp},
	{"top_logprobs_num", effectListed, "", serverSGLang},
	{"top_n_tokens", effectListed, "", serverTGI},

	{"ignore_eos", effectWithinCap, "", serverVLLM | serverSGLang | serverLlamaCpp | serverBackend},
	{"use_beam_search", effectWithinCap, "", serverVLLM}, // as many beams as n
	{"length_penalty", effectWithinCap, "", serverVLLM | serverTGI},
	{"early_stopping", effectWithinCap, "", serverVLLM | serverTGI},

	{"speculative.n_max", effectRefused, drafting, serverLlamaCpp},
	{"speculative.n_min", effectRefused, drafting, serverLlamaCpp},
	{"speculative.p_min", effectRefused, drafting, serverLlamaCpp},
	{"speculative.type", effectRefused, drafting, serverLlamaCpp},
	{"speculative.types", effectRefused, drafting, serverLlamaCpp},
	{"speculative.ngram_size_n", effectRefused, drafting, serverLlamaCpp},
	{"speculative.ngram_size_m", effectRefused, drafting, serverLlamaCpp},
	{"speculative.ngram_min_hits", effectRefused, drafting, serverLlamaCpp},
	{"num_assistant_tokens", effectRefused, drafting, serverTGI},
	{"prompt_lookup_num_tokens", effectRefused, drafting, serverTGI},
	{"chat_template", effectRefused, templates, serverVLLM},
	{"template", effectRefused, templates, serverOllama},
	{"mm_processor_kwargs", effectRefused, images, serverVLLM},
	{"media_io_kwargs", effectRefused, images, serverVLLM},
	{"max_dynamic_patch", effectRefused, images, serverSGLang},
	{"min_dynamic_patch", effectRefused, images, serverSGLang},
	{"image_max_dynamic_patch", effectRefused, images, serverSGLang},
	{"video_max_dynamic_patch", effectRefused, images, serverSGLang},
	{"images_config", effectRefused, images, serverSGLang},
	{"video_config", effectRefused, videos, serverSGLang},
	{"session_params", effectRefused, remembered, serverSGLang},
	{"steps", effectRefused, "is not supported: making images cannot be metered", serverOllama},
}

// workSet is a set of indexes into workMembers.
type workSet uint64

const _ = workSet(1 << (len(workMembers) - 1))

// workByName finds the index of a member by its name.
var workByName = func() map[string]int {
	byName := make(map[string]int, len(workMembers))
	for i := range workMembers {
		byName[workMembers[i].name] = i
	}
	return byName
}()

// work reads a member that multiplies or lengthens the work. path is its name with
// those of the objects that it stands in.
func (r *requestReader) work(member *workMember, path string, value jsonscan.Span) error {
	raw := value.Of(r.body)
	if jsonscan.IsNull(raw) {
		return nil
	}
	if r.call.Route.Translated() && member.effect != effectAnswers {
		return nil // the call that goes on has none of these
	}
	switch member.effect {
	case effectAnswers:
		return readCount(path, raw, &r.choices)
	case effectCap:
		return r.largestCap(path, raw)
	case effectFloor:
		return r.floor(path, raw)
	case effectListed:
		return readListed(path, value, r.body)
	case effectRefused:
		if !saysNothing(raw) && !(member.name == "steps" && r.call.Route.Spec.Makes == MakesImages) {
			return badMember(path, "%s", member.why)
		}
	}
	return nil
}

// saysNothing says that a value stands for the absence of one: clients whose language
// has no absent members send the empty ones.
func saysNothing(raw []byte) bool {
	switch string(raw) {
	case "null", "false", "0", `""`, "{}", "[]":
		return true
	}
	return false
}

// largestCap notes a cap that the operation's servers may not obey, so that others do
// not exceed what is reserved.
func (r *requestReader) largestCap(path string, raw []byte) error {
	return readLargest(path, raw, MaxOutputTokens, &r.call.OutputCap)
}

// floor reads how long an answer is at least.
func (r *requestReader) floor(path string, raw []byte) error {
	number, ok := jsonscan.ParseInteger(raw)
	if !ok || number < 0 || number > MaxOutputTokens {
		return badMember(path, "must be a whole number from 0 to %d", MaxOutputTokens)
	}
	if number > r.call.OutputFloor {
		r.call.OutputFloor, r.floorName = number, path
	}
	return nil
}

// readCount reads how many answers are asked for, and keeps the largest number.
func readCount(path string, raw []byte, into *int64) error {
	return readLargest(path, raw, maxChoices, into)
}

// readLargest reads a number from 1 to a maximum, and keeps the largest.
func readLargest(path string, raw []byte, most int64, into *int64) error {
	number, ok := jsonscan.ParseInteger(raw)
	if !ok || number < 1 || number > most {
		return badMember(path, "must be a whole number from 1 to %d", most)
	}
	*into = max(*into, number)
	return nil
}

// readListed checks how many candidates are listed for each token: a number, one for
// each prompt of a batch, or whether there are any.
func readListed(path string, value jsonscan.Span, body []byte) error {
	raw := value.Of(body)
	switch raw[0] {
	case 't', 'f', 'n':
		return nil
	case '[':
		for scanner := jsonscan.ScanArray(body[:value.End], value.Start); ; {
			element, ok := scanner.Next()
			if !ok {
				return nil
			}
			if body[element.Start] == '[' {
				return badMember(path, "must not be a list of lists")
			}
			if err := readListed(path, element, body); err != nil {
				return err
			}
		}
	}
	number, ok := jsonscan.ParseInteger(raw)
	if !ok || number < 0 || number > maxChoices {
		return badMember(path, "must be true, false or a whole number from 0 to %d", maxChoices)
	}
	return nil
}

// unknownDraft refuses settings of speculative decoding that workMembers does not have.
func unknownDraft(name []byte) error {
	if bytes.HasPrefix(name, []byte("speculative.")) {
		return badMember(string(name), "%s", drafting)
	}
	return nil
}

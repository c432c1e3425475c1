package dialect

import (
	"strings"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// memberID numbers the members that the gate reads.
type memberID uint8

const (
	memberNone memberID = iota
	memberModel
	memberStream
	memberMaxTokens
	memberMaxCompletionTokens
	memberMaxOutputTokens
	memberPredict
	memberMessages
	memberPrompt
	memberInput
	memberInputs
	memberText
	memberInputIDs
	memberData
	memberSystem
	memberStreamOptions
	memberOptions
	memberParameters
	memberSamplingParams
	memberBackground
	memberPreviousResponse
	memberConversation
	memberExtraBody
	memberQuery
	memberDocuments
	memberQueries
	memberItems
	memberText1
	memberText2
	memberData1
	memberData2
	memberSize
	memberSpeed
	memberCount
)

// memberSet is a set of members, of which it has room for 64.
type memberSet uint64

const _ = memberSet(1 << (memberCount - 1))

func setOf(members ...memberID) (set memberSet) {
	for _, id := range members {
		set |= 1 << id
	}
	return set
}

func (s memberSet) has(id memberID) bool { return s&(1<<id) != 0 }

// memberNames are the names of the members that the gate reads.
var memberNames = [memberCount]string{
	memberModel:               "model",
	memberStream:              "stream",
	memberMaxTokens:           "max_tokens",
	memberMaxCompletionTokens: "max_completion_tokens",
	memberMaxOutputTokens:     "max_output_tokens",
	memberPredict:             "n_predict",
	memberMessages:            "messages",
	memberPrompt:              "prompt",
	memberInput:               "input",
	memberInputs:              "inputs",
	memberText:                "text",
	memberInputIDs:            "input_ids",
	memberData:                "data",
	memberSystem:              "system",
	memberStreamOptions:       "stream_options",
	memberOptions:             "options",
	memberParameters:          "parameters",
	memberSamplingParams:      "sampling_params",
	memberBackground:          "background",
	memberPreviousResponse:    "previous_response_id",
	memberConversation:        "conversation",
	memberExtraBody:           "extra_body",
	memberQuery:               "query",
	memberDocuments:           "documents",
	memberQueries:             "queries",
	memberItems:               "items",
	memberText1:               "text_1",
	memberText2:               "text_2",
	memberData1:               "data_1",
	memberData2:               "data_2",
	memberSize:                "size",
	memberSpeed:               "speed",
}

// memberByName has one case for each name; the compiler turns the switch into
// comparisons without an allocation.
func memberByName(name []byte) memberID {
	switch string(name) {
	case "model":
		return memberModel
	case "stream":
		return memberStream
	case "max_tokens":
		return memberMaxTokens
	case "max_completion_tokens":
		return memberMaxCompletionTokens
	case "max_output_tokens":
		return memberMaxOutputTokens
	case "n_predict":
		return memberPredict
	case "messages":
		return memberMessages
	case "prompt":
		return memberPrompt
	case "input":
		return memberInput
	case "inputs":
		return memberInputs
	case "text":
		return memberText
	case "input_ids":
		return memberInputIDs
	case "data":
		return memberData
	case "system":
		return memberSystem
	case "stream_options":
		return memberStreamOptions
	case "options":
		return memberOptions
	case "parameters":
		return memberParameters
	case "sampling_params":
		return memberSamplingParams
	case "background":
		return memberBackground
	case "previous_response_id":
		return memberPreviousResponse
	case "conversation":
		return memberConversation
	case "extra_body":
		return memberExtraBody
	}
	return rareByName(name)
}

// rareByName is memberByName for the members of few operations: texts that are compared,
// sounds and images.
func rareByName(name []byte) memberID {
	switch string(name) {
	case "query":
		return memberQuery
	case "documents":
		return memberDocuments
	case "queries":
		return memberQueries
	case "items":
		return memberItems
	case "text_1":
		return memberText1
	case "text_2":
		return memberText2
	case "data_1":
		return memberData1
	case "data_2":
		return memberData2
	case "size":
		return memberSize
	case "speed":
		return memberSpeed
	}
	return memberNone
}

// refuseLookalike refuses a name that some parsers take for one that the gate reads.
func refuseLookalike(raw []byte) error {
	name := jsonscan.UnescapeName(raw)
	for _, names := range [][]string{memberNames[1:], nestedNames, mediaNames} {
		for _, known := range names {
			if strings.EqualFold(name, known) {
				return badMember(known, "must be spelled exactly so")
			}
		}
	}
	for i := range workMembers {
		if known := workMembers[i].name; strings.EqualFold(name, known) {
			return badMember(known, "must be spelled exactly so")
		}
	}
	return nil
}

// nestedNames are the names of nested members that the gate reads, beside those of
// workMembers, and mediaNames those of the members that hold media beside the prompt.
var (
	nestedNames = []string{"include_usage", "continuous_usage_stats", "details"}
	mediaNames  = []string{"images", "image_data", "video_data", "audio_data", "input_embeds", "prompt_embeds"}
)

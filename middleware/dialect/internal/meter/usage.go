package meter

// maxCount is the largest plausible number of tokens: 2^53-1, beyond which JSON
// parsers differ.
const maxCount = 1<<53 - 1

// Usage is what an upstream reported.
type Usage struct {
	Input  int64 // prompt tokens, cached ones included
	Cached int64 // the part of Input that the upstream had cached
	Output int64
	Sound  int64 // sound that was heard, in units of 1/SoundUnits of a second
	Images int64 // that were made
}

// SoundUnits is in how many parts a second of sound is counted.
const SoundUnits = 50

// field is one thing that servers report.
type field uint8

// The numbers come first: tally has a place for each.
const (
	fieldNone field = iota
	fieldInput
	fieldOutput
	fieldCached
	fieldTotal         // read only where it is the input
	fieldCacheCreation // Anthropic: not part of its input_tokens
	fieldCacheRead     // Anthropic: not part of its input_tokens
	fieldSound         // seconds
	fieldImage         // any text: an image was made
	fieldFinish        // any text: an answer has ended
	fieldDone          // true: the stream has ended
)

const numbers = fieldFinish

// tally collects the fields of one reply. Servers repeat running totals and some
// send zeros before the real figure, so the last number that is not zero counts.
type tally struct {
	value    [numbers]int64
	seen     bool // input or output was reported
	invalid  bool // something was reported that is not a count
	finished bool
	done     bool
}

func (t *tally) set(field field, number int64, valid bool) {
	if !valid || number < 0 || number > maxCount {
		t.invalid = true
		return
	}
	if field == fieldInput || field == fieldOutput || field == fieldTotal {
		t.seen = true
	}
	if number != 0 {
		t.value[field] = number
	}
}

// add puts the sum of two replies into t: a batch answers with a list.
func (t *tally) add(other *tally) {
	for field, number := range other.value {
		if t.value[field] += number; t.value[field] > maxCount {
			t.invalid = true
		}
	}
	t.seen = t.seen || other.seen
	t.invalid = t.invalid || other.invalid
	t.finished = t.finished || other.finished
	t.done = t.done || other.done
}

// usage returns the reported figures, or false if there are no plausible ones. apart
// says that cached tokens are not part of the input, as Anthropic reports them. In
// OpenAI's replies they are, even where gateways to Anthropic's models use its names.
func (t *tally) usage(apart bool) (Usage, bool) {
	usage := Usage{
		Input: t.value[fieldInput], Output: t.value[fieldOutput], Cached: t.value[fieldCached],
		Sound: t.value[fieldSound], Images: t.value[fieldImage],
	}
	switch {
	case t.invalid:
		return Usage{}, false
	case t.seen, usage.Sound > 0: // who counts by seconds counts nothing else
	default:
		return Usage{Images: usage.Images}, false
	}
	if usage.Input == 0 {
		usage.Input = t.value[fieldTotal]
	}
	if extra := t.value[fieldCacheCreation] + t.value[fieldCacheRead]; extra > 0 {
		usage.Cached = t.value[fieldCacheRead]
		if apart {
			usage.Input += extra
		}
	}
	if usage.Input > maxCount || usage.Input+usage.Output > maxCount {
		return Usage{}, false
	}
	usage.Cached = min(usage.Cached, usage.Input)
	return usage, true
}

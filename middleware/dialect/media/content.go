package media

// usualSide is the side in pixels of the image that one of unknown size is likely to be.
const usualSide = 1792

// Range is what a quantity is likely to be, and what it is at most.
type Range struct{ Likely, Most int64 }

// Exactly returns the range of a quantity that is known.
func Exactly(quantity int64) Range { return Range{quantity, quantity} }

// Add adds another range to the range.
func (r *Range) Add(other Range) {
	r.Likely += other.Likely
	r.Most += other.Most
}

// times returns the range of so many tokens for each.
func (r Range) times(tokens int64) Range { return Range{r.Likely * tokens, r.Most * tokens} }

// Size is the size of an image in pixels.
type Size struct{ Width, Height int32 }

// Content is the media of a request, counted in units that no model has a part in. A
// nil *Content has none.
type Content struct {
	Bytes         int64  // of the request that are media, and not text
	Images        []Size // those whose size is known
	UnknownImages int64  // how many others there are
	Pages         Range  // of documents
	AudioSeconds  Range
	VideoSeconds  Range
	// EmbeddingTokens are those of media that the caller's side has encoded.
	EmbeddingTokens Range
}

// Tokens returns what the media count for a model with these rules.
func (c *Content) Tokens(rules *Rules) Range {
	if c == nil {
		return Range{}
	}
	known := rules.withDefaults()
	sum := c.EmbeddingTokens
	for _, size := range c.Images {
		sum.Add(Exactly(known.Image.Tokens(int64(size.Width), int64(size.Height))))
	}
	unknown := Range{known.Image.Tokens(usualSide, usualSide), known.Image.Most()}
	sum.Add(unknown.times(c.UnknownImages))
	sum.Add(c.Pages.times(known.Page))
	sum.Add(c.AudioSeconds.times(known.AudioSecond))
	sum.Add(c.VideoSeconds.times(known.VideoSecond))
	return sum
}

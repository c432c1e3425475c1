package dialect

import (
	"strconv"
	"strings"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/internal/meter"
)

// imagesSpec makes images of a text. What an upstream does not report is estimated by
// their size.
var imagesSpec = Spec{
	Dialect: OpenAI, Class: "images", Method: "POST", Paths: []string{"/v1/images/generations"},
	Permission: PermissionInference, Makes: MakesImages,
	answer: []string{"data"},
	reply: meter.Shape{
		Events: meter.Typed, Images: true,
		Last: []string{"image_generation.completed"}, Failures: []string{"error"},
	},
}

const (
	// pixelsPerToken is what a token of an image that is made shows at least.
	pixelsPerToken = 256
	// imageExtra is for what comes beside: some count those that show the progress.
	imageExtra = 512
	// usualPixels are those of an image whose size is not asked for, and largestPixels
	// those of one whose size is a word that is not known.
	usualPixels, largestPixels = 1536 * 1024, 4096 * 4096
	// maxSide limits the sides of an image.
	maxSide = 16384
)

// size reads how large the images are.
func (r *requestReader) size(raw []byte) error {
	if r.call.Route.Spec.Makes != MakesImages || jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '"' {
		return badMember("size", "must be a string")
	}
	text := jsonscan.Unquote(raw)
	width, height, sides := strings.Cut(text, "x")
	switch {
	case text == "" || text == "auto":
		return nil
	case !sides:
		r.pixels = largestPixels
		return nil
	}
	wide, err := strconv.ParseInt(width, 10, 64)
	high, err2 := strconv.ParseInt(height, 10, 64)
	if err != nil || err2 != nil || wide < 1 || high < 1 || wide > maxSide || high > maxSide {
		return badMember("size", "must be the width and the height in pixels, such as 1024x1024, or auto")
	}
	r.pixels = wide * high
	return nil
}

// capImages bounds what one image counts.
func (r *requestReader) capImages() error {
	pixels := r.pixels
	if pixels == 0 {
		pixels = usualPixels
	}
	r.call.OutputCap = max(r.call.OutputCap, pixels/pixelsPerToken+imageExtra)
	r.call.Answers = max(1, r.choices)
	r.call.fields.capped = true
	if r.call.Answers > 1 && r.call.Stream {
		return &RequestError{Message: "a stream of more than one image is not supported"}
	}
	return nil
}

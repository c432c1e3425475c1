package media

import "testing"

func TestContentCountsByTheRulesOfTheModel(t *testing.T) {
	content := &Content{
		Images: []Size{{640, 480}, {28, 28}}, UnknownImages: 2, Pages: Range{3, 30},
		AudioSeconds: Exactly(10), VideoSeconds: Range{2, 20}, EmbeddingTokens: Range{1, 2},
	}
	general := content.Tokens(nil)
	if want := (Range{
		23*18 + 1 + 2*4096 + 3*DefaultPage + 10*DefaultAudioSecond + 2*DefaultVideoSecond + 1,
		23*18 + 1 + 2*16384 + 30*DefaultPage + 10*DefaultAudioSecond + 20*DefaultVideoSecond + 2,
	}); general != want {
		t.Errorf("in general %+v, want %+v", general, want)
	}
	if same := content.Tokens(new(Rules)); same != general {
		t.Errorf("empty rules: %+v, want %+v", same, general)
	}
	own := content.Tokens(&Rules{Image: Fixed(100), Page: 1000, AudioSecond: 25, VideoSecond: 200})
	if want := (Range{400 + 3000 + 250 + 400 + 1, 400 + 30_000 + 250 + 4000 + 2}); own != want {
		t.Errorf("by rules of its own %+v, want %+v", own, want)
	}
	if none := (*Content)(nil).Tokens(nil); none != (Range{}) {
		t.Errorf("nothing counts %+v", none)
	}
}

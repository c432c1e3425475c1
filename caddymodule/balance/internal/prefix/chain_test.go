package prefix

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func chain(prompt string) *Chain {
	c := new(Chain)
	c.Read(7, []byte(prompt))
	return c
}

func boundaries(c *Chain) []Boundary {
	list := make([]Boundary, c.Len())
	for i := range list {
		list[i] = c.At(i)
	}
	return list
}

func message(role, text string) string { return fmt.Sprintf(`{"role":%q,"content":%q}`, role, text) }

func conversation(messages ...string) string { return "[" + strings.Join(messages, ",") + "]" }

func TestMessagesEndWhereTheyEnd(t *testing.T) {
	system, user := message("system", "Be brief."), message("user", `She said "[{" and \" left`)
	for _, test := range []struct {
		name, prompt string
		ends         []string // the prompt up to each boundary
	}{
		{"messages", conversation(system, user), []string{"[" + system, "[" + system + "," + user}},
		{"with spaces", "[ " + system + " , " + user + " ]", []string{"[ " + system, "[ " + system + " , " + user}},
		{
			"nested content", `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`,
			[]string{`[{"role":"user","content":[{"type":"text","text":"a"}`, `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`},
		},
		{
			"a whole body", `{"model":"m","messages":[` + user + `],"n":1}`,
			[]string{`{"model":"m","messages":[` + user, `{"model":"m","messages":[` + user + `],"n":1}`},
		},
		{"numbers", `[1,2,3]`, []string{`[1,2,3`}},
		{
			"blocks before messages", `[{"type":"text","text":"a"}],"messages":[` + user + `]`,
			[]string{`[{"type":"text","text":"a"}`, `[{"type":"text","text":"a"}],"messages":[` + user},
		},
		{"a text", `"Once upon a time"`, []string{`"Once upon a time"`}},
		{"nothing", ``, nil},
		{"an empty list", `[]`, []string{`[`}},
		{"braces in strings", conversation(message("user", `a }, { "b" }], "c" `)), []string{"[" + message("user", `a }, { "b" }], "c" `)}},
	} {
		got := boundaries(chain(test.prompt))
		if len(got) != len(test.ends) {
			t.Errorf("%s: %d boundaries, want %d", test.name, len(got), len(test.ends))
			continue
		}
		for i, end := range test.ends {
			if int(got[i].End) != len(end) {
				t.Errorf("%s: boundary %d is at %q", test.name, i, test.prompt[:got[i].End])
			}
		}
	}
}

func TestAConversationContinuesItsEarlierPrompts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	long := strings.Repeat("x y \" \\ ", 3000)
	messages := []string{message("system", long[:1500])}
	before := chain(conversation(messages...))
	for turn := range 150 {
		messages = append(messages, message("user", long[:random.IntN(len(long))]), message("assistant", long[:random.IntN(300)]))
		messages = append(messages, message("user", "go on"))
		now := chain(conversation(messages...))
		last := before.At(before.Len() - 1)
		found := false
		for _, boundary := range boundaries(now) {
			found = found || boundary.Hash == last.Hash && boundary.End == last.End
		}
		if !found {
			t.Fatalf("turn %d: the earlier prompt's end is no boundary any more", turn)
		}
		if now.System != before.System || turn > 0 && now.Root != before.Root {
			t.Fatalf("turn %d: the conversation has another system or root", turn)
		}
		if now.Len() > maxBoundaries {
			t.Fatalf("%d boundaries", now.Len())
		}
		before = now
	}
}

func TestPromptsThatBeginAlikeAreCutAlike(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	text := strings.Repeat("1,2 \\ \" {[ ]} ", 1000)
	for range 300 {
		var messages []string
		for range 1 + random.IntN(12) {
			messages = append(messages, message("user", text[:random.IntN(len(text))]))
		}
		all := map[Boundary]bool{}
		for _, boundary := range boundaries(chain(conversation(messages...))) {
			all[boundary] = true
		}
		for i, boundary := range boundaries(chain(conversation(messages[:1+random.IntN(len(messages))]...))) {
			if len(all) < maxBoundaries && !all[boundary] {
				t.Fatalf("boundary %d at %d is not in the longer conversation", i, boundary.End)
			}
		}
	}
}

func TestAnswersAndSystemPromptsAreKnown(t *testing.T) {
	system := message("system", strings.Repeat("s", 2000))
	c := chain(conversation(system, message("user", "hi"), message("assistant", "hello"), `{"content":"bye","role":"user"}`))
	got := boundaries(c)
	if len(got) != 4 || got[0].Answer || got[1].Answer || !got[2].Answer || got[3].Answer {
		t.Errorf("%+v", got)
	}
	if c.System != got[0].Hash || c.Root != got[1].Hash || c.SystemEnd != got[0].End || c.RootEnd != got[1].End {
		t.Errorf("system %x, root %x of %+v", c.System, c.Root, got)
	}
	if c := chain(conversation(message("system", "short"), message("user", "hi"))); c.System != 0 || c.Root == 0 {
		t.Errorf("a short system prompt has a key of its own: %+v", c)
	}
	anthropic := chain(`"` + strings.Repeat("s", 2000) + `","messages":` + conversation(message("user", "hi")))
	if anthropic.System == 0 || anthropic.SystemEnd != 2002 || anthropic.Len() != 2 {
		t.Errorf("a system prompt before the messages: %d boundaries, ends at %d", anthropic.Len(), anthropic.SystemEnd)
	}
}

func TestSeedsModelsAndSaltsSeparatePrompts(t *testing.T) {
	seeds := map[uint64]bool{}
	for _, seed := range []uint64{Seed(0, "a", ""), Seed(1, "a", ""), Seed(0, "b", ""), Seed(0, "a", "x"), Seed(0, "", "a")} {
		seeds[seed] = true
	}
	if len(seeds) != 5 {
		t.Errorf("%d different seeds of 5", len(seeds))
	}
}

func FuzzChain(f *testing.F) {
	f.Add([]byte(conversation(message("user", "hi"))))
	f.Add([]byte(`[{"a":"\\\"}]`))
	f.Fuzz(func(t *testing.T, prompt []byte) {
		var c Chain
		c.Read(1, prompt)
		end := int32(0)
		for _, boundary := range boundaries(&c) {
			if boundary.End < end || int(boundary.End) > len(prompt) {
				t.Fatalf("boundary at %d after %d of %d bytes", boundary.End, end, len(prompt))
			}
			end = boundary.End
		}
	})
}

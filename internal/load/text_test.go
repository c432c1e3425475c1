//go:build linux

package load

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
)

// What people write to models: prose, questions about code, and both in turns. The
// sentences are joined at random, so that no two bodies are alike and no search finds
// the same word everywhere.
var (
	sentences = strings.Split(`The audit of the northern warehouse took eleven days longer than anyone had planned.
Most of that time went into pallets whose labels had faded in the sun beside the loading bay.
Could you summarise what the tenants said about the heating, without naming anyone?
In 1897 the river froze for six weeks, and the mill ran on steam until the thaw.
Please compare both offers: price, delivery, guarantee, and what happens if a part fails.
She kept a small notebook in which every image had a date, a place and one adjective.
I'm not sure whether "audio" or "sound" is the better word for the menu; what would you choose?
The committee agreed on three points (funding, access, insurance) and postponed the fourth.
Add 200 g of flour, stir until smooth, then leave the bowl near a warm oven for an hour.
Our returns went up by 4.7 % in March, although fewer parcels were sent than in February.
If the signal drops below -85 dBm, the sensor stores its readings and sends them at midnight.
Write a polite reply that declines the invitation but leaves the door open for autumn.
Nobody had told the new librarian that the east wing, with its maps, was closed on Mondays.
The patient reports mild pain after meals, no fever, and good sleep since last week.
Translate this into French: "The bridge will remain closed until further notice."
A good index is more useful than a second chapter; an index of images even more so.
It rained, so the second half was played indoors, on a floor that squeaked at every turn.
Which of these companies are based in Portugal, and how many people do they employ?
He answered each letter by hand — café owners, teachers, two ministers and a beekeeper.
The engine stalls when the idle valve sticks; clean it first, and replace it only if that fails.
Is it true that octopuses have three hearts? Explain it to a child of eight.
Under section 12(b) the licensee shall keep records for no less than seven years.
The audience waited in silence while the piano was tuned for the third time that evening.
Start with the smallest case that fails, and remove one line at a time until it passes.`, "\n")

	lines = strings.Split(`func (s *store) find(id string) (*item, error) {
	if s == nil || id == "" {
		return nil, fmt.Errorf("find %q: %w", id, errNotFound)
	}
for i, row in enumerate(reader):
    totals[row["region"]] += float(row["amount"])
    print(f"{i}: {row['region']} -> {totals[row['region']]:.2f}")
SELECT customer, count(*) AS orders FROM sales WHERE day >= '2026-01-01' GROUP BY customer;
const image = document.querySelector("img.hero"); // may be null
export async function load({ fetch, params }) { return { post: await fetch("/api/" + params.id) }; }
	defer func() { _ = file.Close() }()
git log --oneline --since="2 weeks ago" | head -n 20
<audio controls src="/media/{{ .Name }}.ogg"></audio>
    raise ValueError("expected {} columns, got {}".format(len(header), len(row)))`, "\n")
)

// text returns about a number of bytes of prose, with a piece of code now and then.
func text(random *rand.Rand, bytes int) string {
	var b strings.Builder
	for b.Len() < bytes {
		if random.IntN(8) > 0 {
			b.WriteString(sentences[random.IntN(len(sentences))])
			b.WriteByte(" \n"[random.IntN(2)])
			continue
		}
		for range 2 + random.IntN(8) {
			b.WriteString(lines[random.IntN(len(lines))])
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// message is one turn of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// chat returns a request whose body has about a number of bytes: a conversation that
// is as long as it must be.
func chat(random *rand.Rand, bytes int, stream bool) string {
	request := struct {
		Model     string    `json:"model"`
		Messages  []message `json:"messages"`
		MaxTokens int       `json:"max_tokens"`
		Stream    bool      `json:"stream,omitempty"`
	}{Model: "tiny", MaxTokens: 100 + random.IntN(400), Stream: stream}
	request.Messages = append(request.Messages, message{"system", text(random, min(300, bytes/4))})
	for left := bytes - bytes/4; left > 0; {
		turn := text(random, min(left, 200+random.IntN(4000)))
		role := [2]string{"user", "assistant"}[(len(request.Messages)+1)%2]
		request.Messages = append(request.Messages, message{role, turn})
		left -= len(turn)
	}
	body, err := json.Marshal(request)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(body)
}

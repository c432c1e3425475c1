package simulator

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Workload makes calls.
type Workload struct {
	Name string
	// Rate is one at which servers of the size that the workload is meant for are busy: where
	// to compare latencies, and where to begin to look for the capacity.
	Rate float64
	// Engines is what the workload is meant for. Default: four H100.
	Engines []Hardware
	// Length is how long calls arrive. Default: 400 s.
	Length time.Duration
	// Restart says that the first engine is started anew in the middle.
	Restart bool
	// Gateways is how many share the calls. Default: 1.
	Gateways int
	// Start plans the first calls of a run. The others follow from those.
	Start func(r *Run)
}

// Four is the servers that most workloads are meant for.
var Four = []Hardware{H100, H100, H100, H100}

// Workloads lists the ordinary ones.
func Workloads() []Workload {
	return []Workload{Chat, RAG, Hot, Agent, Unique}
}

// Config returns the experiment that a workload is meant for.
func (w Workload) Config() Config {
	c := Config{Engines: w.Engines, Workload: w, Rate: w.Rate, Seed: 1, Length: w.Length, Gateways: w.Gateways}
	if c.Engines == nil {
		c.Engines = Four
	}
	if c.Length == 0 {
		c.Length = 400 * time.Second
	}
	if w.Restart {
		c.Restart, c.RestartTime = c.Length/2, 20*time.Second
	}
	return c
}

// arrivals calls start at random times with a rate, until the run's length. variation is the
// coefficient of variation of the times between, 1 for a Poisson process.
func (r *Run) arrivals(rate, variation float64, start func()) {
	var next func()
	next = func() {
		if r.now < r.config.Length {
			start()
			r.at(r.now+time.Duration(gamma(r.random, variation)/rate*float64(time.Second)), next)
		}
	}
	r.at(time.Duration(r.random.Float64()/rate*float64(time.Second)), next)
}

// gamma returns a random time with the mean 1 and a coefficient of variation, which is at least
// 1, from a gamma distribution: by the method of Marsaglia and Tsang for a shape above 1, and
// from there to the shape below it.
func gamma(random *rand.Rand, variation float64) float64 {
	if variation == 1 {
		return random.ExpFloat64()
	}
	shape := 1 / (variation * variation)
	d := shape + 1 - 1./3
	for {
		x := random.NormFloat64()
		v := math.Pow(1+x/math.Sqrt(9*d), 3)
		if v > 0 && math.Log(1-random.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v * math.Pow(1-random.Float64(), 1/shape) / shape
		}
	}
}

// logNormal returns a random number of tokens.
func logNormal(random *rand.Rand, mu, sigma float64) int {
	return max(1, int(math.Exp(mu+sigma*random.NormFloat64())))
}

// zipf returns the probabilities of n things, summed up.
func zipf(n int, exponent float64) []float64 {
	sums, sum := make([]float64, n), 0.
	for i := range sums {
		sum += math.Pow(float64(i+1), -exponent)
		sums[i] = sum
	}
	for i := range sums {
		sums[i] /= sum
	}
	return sums
}

func draw(random *rand.Rand, sums []float64) int {
	x := random.Float64()
	for i, sum := range sums {
		if x < sum {
			return i
		}
	}
	return len(sums) - 1
}

// outputOf returns the length of an answer in a conversation: as in Azure's trace of 2023.
func outputOf(random *rand.Rand) int { return min(2000, logNormal(random, 5.02, .86)) }

// session is a conversation. Each turn begins when the one before it is answered.
type session struct {
	run     *Run
	id      uint64
	owner   string
	prompt  []Segment
	turns   int
	user    func(random *rand.Rand) int // tokens of a turn
	output  func(random *rand.Rand) int
	pause   func(random *rand.Rand) time.Duration
	created int
	random  *rand.Rand // its own: what it says does not depend on when others are answered
}

// begin makes the next call of the session.
func (s *session) begin() {
	if s.random == nil {
		s.random = rand.New(rand.NewPCG(s.run.config.Seed, s.id))
	}
	s.created++
	id := mix(s.id<<20 ^ uint64(s.created)<<1 ^ 1)
	s.prompt = append(s.prompt, Segment{id, s.user(s.random), "user"})
	q := &Request{
		Owner: s.owner, Session: s.id, Output: max(1, s.output(s.random)),
		Prompt: s.prompt[:len(s.prompt):len(s.prompt)],
	}
	s.run.send(q, func(ended time.Duration) {
		s.prompt = append(s.prompt, Segment{answerID(q), q.Output, "assistant"})
		if s.turns--; s.turns > 0 {
			s.run.at(ended+s.pause(s.random), s.begin)
		}
	})
}

// geometric returns a number from 1 on with a mean.
func geometric(random *rand.Rand, mean float64) int {
	n := 1
	for random.Float64() > 1/mean {
		n++
	}
	return n
}

func thinks(mean time.Duration) func(*rand.Rand) time.Duration {
	return func(random *rand.Rand) time.Duration { return exponential(random, mean) }
}

func aboutTokens(mu, sigma float64) func(*rand.Rand) int {
	return func(random *rand.Rand) int { return min(20_000, logNormal(random, mu, sigma)) }
}

func app(number int) string { return fmt.Sprintf("app%d", number) }

// systemOf returns the system prompt of an application.
func systemOf(kind, number uint64, tokens int) Segment {
	return Segment{mix(kind<<32 ^ number), tokens, "system"}
}

// Chat is conversations with 40 applications that differ in size and use.
var Chat = Workload{Name: "chat", Rate: 7.5, Start: func(r *Run) {
	popular, ids := zipf(40, 1), uint64(0)
	sizes := make([]int, 40)
	for i := range sizes {
		sizes[i] = logNormal(r.random, math.Log(900), .5)
	}
	r.arrivals(r.config.Rate, 1, func() {
		ids++
		a := draw(r.random, popular)
		s := &session{
			run: r, id: ids, owner: app(a), turns: geometric(r.random, 6), prompt: []Segment{systemOf(1, uint64(a), sizes[a])},
			user: aboutTokens(math.Log(150), 1), output: outputOf, pause: thinks(25 * time.Second),
		}
		s.begin()
	})
}}

// RAG is single questions about 150 documents of one account.
var RAG = Workload{Name: "rag", Rate: 18, Start: func(r *Run) {
	popular, ids := zipf(150, .7), uint64(0)
	r.arrivals(r.config.Rate, 1, func() {
		ids++
		s := &session{
			run: r, id: ids, owner: "one", turns: 1, prompt: []Segment{systemOf(2, uint64(draw(r.random, popular)), 6000)},
			user: aboutTokens(math.Log(1050), .3), output: aboutTokens(math.Log(220), .5),
		}
		s.begin()
	})
}}

// Hot is short conversations, most of them with one application.
var Hot = Workload{Name: "hot", Rate: 5, Start: func(r *Run) {
	popular, ids := zipf(60, 1), uint64(0)
	r.arrivals(r.config.Rate, 1, func() {
		ids++
		a, tokens := uint64(0), 3000
		if r.random.Float64() > .6 {
			a, tokens = uint64(1+draw(r.random, popular)), 1200
		}
		s := &session{
			run: r, id: ids, owner: app(int(a)), turns: geometric(r.random, 3), prompt: []Segment{systemOf(3, a, tokens)},
			user: aboutTokens(math.Log(250), 1), output: outputOf, pause: thinks(15 * time.Second),
		}
		s.begin()
	})
}}

// Agent is programs that call again as soon as they have done what the answer says.
var Agent = Workload{Name: "agent", Rate: 1.3, Start: func(r *Run) {
	ids := uint64(0)
	r.arrivals(r.config.Rate, 1, func() {
		ids++
		s := &session{
			run: r, id: ids, owner: app(int(ids % 20)), turns: 12, prompt: []Segment{systemOf(4, ids, 3500)},
			user: aboutTokens(math.Log(450), .4), output: aboutTokens(math.Log(80), .5), pause: thinks(3 * time.Second),
		}
		s.begin()
	})
}}

// Unique is prompts that have nothing in common, in bursts.
var Unique = Workload{Name: "unique", Rate: 20, Start: func(r *Run) {
	ids := uint64(0)
	r.arrivals(r.config.Rate, 3, func() {
		ids++
		s := &session{run: r, id: ids, owner: app(int(ids % 20)), turns: 1, user: aboutTokens(6.63, .99), output: outputOf}
		if r.random.Float64() < .5 {
			s.user, s.output = aboutTokens(7, 1.2), aboutTokens(2.79, .85)
		}
		s.begin()
	})
}}

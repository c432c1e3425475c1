package balance

import (
	"math/bits"
	"math/rand/v2"

	"github.com/mroth/weightedrand/v2"
)

// Pool is the set of upstreams at the moment of a choice, in the order that
// the Weighted was built from.
type Pool interface {
	// Available reports whether upstream i may get a call now.
	Available(i int) bool
	// InFlight returns how many calls upstream i runs now.
	InFlight(i int) int
}

// Weighted draws upstreams at random in proportion to their weights, among
// those that serve a model and are available. It is immutable and safe for
// concurrent use.
type Weighted struct {
	upstreams []Upstream
	random    func() uint64
	injected  bool
	all       *draw            // for calls that run no model
	byModel   map[string]*draw // models that some upstream names
	others    *draw            // for models that no upstream names
}

// draw is the choice among the upstreams that serve one model and are not drained.
type draw struct {
	members []int
	chooser *weightedrand.Chooser[int, int] // nil if there are no members
}

// NewWeighted builds the choice for a fixed list of upstreams. It fails if an
// upstream is not valid.
func NewWeighted(upstreams []Upstream) (*Weighted, error) { return newWeighted(upstreams, nil) }

// newWeighted is NewWeighted with a source of randomness, nil for the usual one.
func newWeighted(upstreams []Upstream, random func() uint64) (*Weighted, error) {
	w := &Weighted{upstreams: upstreams, random: random, injected: random != nil, byModel: make(map[string]*draw)}
	if random == nil {
		w.random = rand.Uint64
	}
	for i := range upstreams {
		if err := upstreams[i].Validate(); err != nil {
			return nil, err
		}
	}
	var err error
	if w.all, err = newDraw(upstreams, func(*Upstream) bool { return true }); err != nil {
		return nil, err
	}
	anyModel := func(u *Upstream) bool { return len(u.Models) == 0 }
	if w.others, err = newDraw(upstreams, anyModel); err != nil {
		return nil, err
	}
	for i := range upstreams {
		for _, model := range upstreams[i].Models {
			if w.byModel[model] != nil {
				continue
			}
			serves := func(u *Upstream) bool { return u.Serves(model) }
			if w.byModel[model], err = newDraw(upstreams, serves); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

func newDraw(upstreams []Upstream, serves func(*Upstream) bool) (*draw, error) {
	d := new(draw)
	var choices []weightedrand.Choice[int, int]
	for i := range upstreams {
		if serves(&upstreams[i]) && upstreams[i].weight() > 0 {
			d.members = append(d.members, i)
			choices = append(choices, weightedrand.NewChoice(i, upstreams[i].weight()))
		}
	}
	if len(choices) == 0 {
		return d, nil
	}
	var err error
	d.chooser, err = weightedrand.NewChooser(choices...)
	return d, err
}

// attempts is how often a draw may hit an upstream that cannot take the call
// before the rest is looked at one by one. Drawing again keeps the proportions
// of the remaining ones, so the number decides only about speed.
const attempts = 4

// Pick returns the index of an upstream for a call of model, which is empty if
// the call runs none. It returns false if no upstream that serves the model is
// available. An upstream whose slots are all in use is picked only if all are.
func (w *Weighted) Pick(model string, pool Pool) (int, bool) {
	d := w.draw(model)
	if d.chooser == nil {
		return 0, false
	}
	for range attempts {
		if w.injected {
			break // the chooser has a source of its own
		}
		if i := d.chooser.Pick(); w.free(i, pool) {
			return i, true
		}
	}
	if i, ok := w.scan(d, func(i int) bool { return w.free(i, pool) }); ok {
		return i, true
	}
	return w.scan(d, pool.Available)
}

// draw returns the choice among the upstreams that serve a model.
func (w *Weighted) draw(model string) *draw {
	if model == "" {
		return w.all
	}
	if d := w.byModel[model]; d != nil {
		return d
	}
	return w.others
}

// below returns a random number below a limit that is above 0.
func (w *Weighted) below(limit int) int {
	high, _ := bits.Mul64(w.random(), uint64(limit))
	return int(high)
}

// free reports whether an upstream is available and has an unused slot.
func (w *Weighted) free(i int, pool Pool) bool {
	slots := w.upstreams[i].Slots
	return pool.Available(i) && (slots == 0 || pool.InFlight(i) < slots)
}

// scan draws by weight among the members for which take holds, in one pass:
// each member replaces the choice so far with the probability weight/total.
func (w *Weighted) scan(d *draw, take func(int) bool) (int, bool) {
	chosen, total := 0, 0
	for _, i := range d.members {
		if !take(i) {
			continue
		}
		weight := w.upstreams[i].weight()
		total += weight
		if w.below(total) < weight {
			chosen = i
		}
	}
	return chosen, total > 0
}

package simulator

import "time"

// sequence is a call that an engine runs.
type sequence struct {
	request  *Request
	prompt   int // tokens that are computed or were cached
	context  int // tokens of prompt to compute: after a preemption, the answer so far too
	output   int // tokens of the answer
	shared   int // blocks of the prompt that are in the cache and in use
	private  int // blocks that are not in the cache
	finished bool
}

// engine is a server that computes in steps.
type engine struct {
	hardware   Hardware
	cache      *cache
	waiting    []*sequence
	running    []*sequence
	busy       bool
	down       bool
	generation int
	idleQueue  time.Duration // since when that is so while another engine has a queue; 0: it is not
}

func newEngine(hardware Hardware) *engine {
	return &engine{hardware: hardware, cache: newCache(hardware.KVTokens)}
}

func (e *engine) add(r *Request) {
	e.waiting = append(e.waiting, &sequence{request: r, context: r.Tokens})
}

// admit moves calls from the queue to the batch, in their order, while there is room.
func (e *engine) admit() {
	for len(e.waiting) > 0 && len(e.running) < e.hardware.Sequences {
		s := e.waiting[0]
		cached := e.cache.has(s.request.blocks)
		if cached*blockTokens >= s.context {
			cached-- // the last token is always computed
		}
		need := (s.context+blockTokens)/blockTokens - cached
		e.cache.use(s.request.blocks[:cached]) // not to be given away for what follows
		if e.cache.room() < need && len(e.running) > 0 {
			e.cache.release(s.request.blocks[:cached])
			return
		}
		e.cache.take(need)
		s.shared, s.private, s.prompt = cached, need, cached*blockTokens
		if s.output == 0 {
			s.request.Cached = s.prompt
		}
		e.waiting, e.running = e.waiting[1:], append(e.running, s)
	}
}

// step computes one step and returns how long it takes.
func (e *engine) step() time.Duration {
	h := &e.hardware
	budget := h.Budget
	tokens, read, pairs := 0, 0, 0.
	for _, s := range e.running {
		if s.prompt >= s.context {
			budget--
			tokens++
			read += s.request.Tokens + s.output
		}
	}
	for _, s := range e.running {
		if left := s.context - s.prompt; left > 0 && budget > 0 {
			n := min(left, budget)
			pairs += float64(n) * (float64(s.prompt) + float64(n)/2)
			s.prompt += n
			budget -= n
			tokens += n
			if s.prompt >= s.context {
				s.finished = true // it gets its first token in this step
			}
		} else if left == 0 {
			s.finished = true
		}
	}
	linear := max(h.Weights.Seconds(), float64(tokens)*h.PerToken)
	seconds := linear + float64(read)*h.PerRead + pairs*h.PerPair
	return h.Step + time.Duration(seconds*float64(time.Second)) + time.Duration(len(e.running))*h.PerSequence
}

// finish gives every call of the step its token. started and ended are told of calls whose
// first token it was, and whose last.
func (e *engine) finish(started, ended func(*Request)) {
	kept := e.running[:0]
	for _, s := range e.running {
		if !s.finished {
			kept = append(kept, s)
			continue
		}
		s.finished = false
		if s.output++; s.output == 1 {
			started(s.request)
		}
		e.publish(s)
		if s.output >= s.request.Output {
			e.end(s)
			ended(s.request)
			continue
		}
		kept = append(kept, s)
	}
	clear(e.running[len(kept):])
	e.running = kept
	e.grow()
}

// publish lets others share the prompt, once it is computed.
func (e *engine) publish(s *sequence) {
	if blocks := s.request.blocks; s.shared < len(blocks) {
		e.cache.publish(blocks[s.shared:])
		s.private -= len(blocks) - s.shared
		s.shared = len(blocks)
	}
}

// grow takes a block for every answer that needs one. Where there is none, the newest call
// makes room and is computed again later.
func (e *engine) grow() {
	for i := 0; i < len(e.running); i++ {
		s := e.running[i]
		for s.prompt >= s.context && s.shared+s.private < (s.request.Tokens+s.output)/blockTokens+1 {
			if e.cache.room() > 0 || len(e.running) == 1 {
				e.cache.take(1)
				s.private++
				continue
			}
			newest := e.running[len(e.running)-1]
			e.running = e.running[:len(e.running)-1]
			e.drop(newest)
			newest.context, newest.prompt = newest.request.Tokens+newest.output, 0
			e.waiting = append([]*sequence{newest}, e.waiting...)
			if newest == s {
				break
			}
		}
	}
}

func (e *engine) drop(s *sequence) {
	e.cache.release(s.request.blocks[:s.shared])
	e.cache.private -= s.private
	s.shared, s.private = 0, 0
}

// end gives back what a call used. Its answer stays in the cache, for the next turn.
func (e *engine) end(s *sequence) {
	r := s.request
	answer := Segment{ID: answerID(r), Tokens: r.Output, Role: "assistant"}
	all := blocksOf(append(r.Prompt[:len(r.Prompt):len(r.Prompt)], answer))
	e.cache.release(r.blocks[:s.shared])
	e.cache.private -= s.private
	if fresh := all[len(r.blocks):]; e.cache.room() >= len(fresh) && e.cache.has(all) < len(all) {
		e.cache.take(len(fresh))
		e.cache.publish(fresh)
		e.cache.release(fresh)
	}
}

// answerID stands for the text of a call's answer.
func answerID(r *Request) uint64 { return mix(r.Session<<20 ^ uint64(len(r.Prompt))) }

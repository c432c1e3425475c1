package tokenizer

import "container/heap"

// symbol is a stretch of the text that may still merge with its neighbours.
type symbol struct {
	start, end     int // in the text; end == start: merged away
	previous, next int // neighbours, -1 for none
	id             int32
}

// candidate is a pair of neighbours that may merge into the token id.
type candidate struct {
	left, right int
	end         int     // of the right symbol when the candidate was found
	priority    float64 // the lowest merges first, of equals the leftmost
	id          int32
}

type queue []candidate

func (q queue) Len() int { return len(q) }
func (q queue) Less(a, b int) bool {
	if q[a].priority != q[b].priority {
		return q[a].priority < q[b].priority
	}
	return q[a].left < q[b].left
}
func (q queue) Swap(a, b int) { q[a], q[b] = q[b], q[a] }
func (q *queue) Push(c any)   { *q = append(*q, c.(candidate)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	*q = (*q)[:last]
	return c
}

// merge joins neighbours, best pair first, until no pair has a token. A queue
// keeps that at n log n: text comes from strangers, and trying every pair again
// after each merge would let a long word take quadratic time.
func merge(symbols []symbol, join func(left, right symbol) (id int32, priority float64, ok bool)) {
	var waiting queue
	consider := func(left, right int) {
		if left < 0 || right < 0 {
			return
		}
		if id, priority, ok := join(symbols[left], symbols[right]); ok {
			waiting = append(waiting, candidate{left, right, symbols[right].end, priority, id})
		}
	}
	for i := range symbols {
		symbols[i].previous, symbols[i].next = i-1, i+1
	}
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
	for i := 0; i+1 < len(symbols); i++ {
		consider(i, i+1)
	}
	heap.Init(&waiting)
	for waiting.Len() > 0 {
		best := heap.Pop(&waiting).(candidate)
		left, right := &symbols[best.left], &symbols[best.right]
		// Out of date if either side has merged since. A symbol that has grown to
		// the left keeps its index, one that was taken in has become empty.
		if left.end == left.start || left.next != best.right || right.end != best.end || left.end != right.start {
			continue
		}
		left.end, left.id, left.next = right.end, best.id, right.next
		right.start = right.end
		if left.next >= 0 {
			symbols[left.next].previous = best.left
		}
		for _, pair := range [2][2]int{{left.previous, best.left}, {best.left, left.next}} {
			before := len(waiting)
			consider(pair[0], pair[1])
			if len(waiting) > before {
				heap.Fix(&waiting, before)
			}
		}
	}
}

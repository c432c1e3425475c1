package engine

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPagesAreNeverSharedByMistake drives the pool as the scheduler does and
// keeps, apart from it, what each page holds.
func TestPagesAreNeverSharedByMistake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const pages = 12
		pool := newPagePool(pages)
		type user struct {
			lease     lease
			tokens    []int32
			computed  int
			positions int
		}
		var users []*user
		holds := make([][PageSize]int32, pages) // what was last written
		salts := []string{"", "other"}
		for range rapid.IntRange(1, 60).Draw(t, "actions") {
			switch rapid.IntRange(0, 3).Draw(t, "action") {
			case 0: // a new sequence
				one := &user{tokens: rapid.SliceOfN(rapid.Int32Range(0, 1), 1, 6*PageSize).Draw(t, "prompt")}
				for i := range one.tokens { // few different texts, so that prefixes meet
					one.tokens[i] = one.tokens[i-i%PageSize]
				}
				one.positions = len(one.tokens) + rapid.IntRange(0, 40).Draw(t, "more")
				var ok bool
				one.lease, ok = pool.admit(rapid.SampledFrom(salts).Draw(t, "salt"), one.tokens, one.positions, rapid.Bool().Draw(t, "reuse"))
				if !ok {
					continue
				}
				one.computed = len(one.lease.pages) * PageSize
				if one.computed >= len(one.tokens) {
					t.Fatalf("%d of %d prompt tokens cached: none is left to compute", one.computed, len(one.tokens))
				}
				users = append(users, one)
			case 1, 2: // a step of one sequence
				if len(users) == 0 {
					continue
				}
				one := rapid.SampledFrom(users).Draw(t, "user")
				rows := min(rapid.IntRange(1, 40).Draw(t, "rows"), one.positions-one.computed)
				for len(one.tokens) < one.computed+rows {
					one.tokens = append(one.tokens, rapid.Int32Range(0, 1).Draw(t, "token"))
				}
				pool.grow(&one.lease, one.computed+rows)
				for position := one.computed; position < one.computed+rows; position++ {
					holds[one.lease.pages[position/PageSize]][position%PageSize] = content(one.tokens, position)
				}
				one.computed += rows
				pool.publish(&one.lease, one.tokens, one.computed)
			case 3: // the end of one
				if len(users) == 0 {
					continue
				}
				at := rapid.IntRange(0, len(users)-1).Draw(t, "user")
				pool.release(&users[at].lease)
				users = slices.Delete(users, at, at+1)
			}
			inUse := map[int32]bool{}
			for _, one := range users {
				for position := range one.computed {
					page := one.lease.pages[position/PageSize]
					inUse[page] = true
					if holds[page][position%PageSize] != content(one.tokens, position) {
						t.Fatalf("position %d on page %d holds %d, it was %d", position, page, holds[page][position%PageSize], content(one.tokens, position))
					}
				}
				for _, page := range one.lease.pages {
					inUse[page] = true
				}
			}
			if pool.inUse() != len(inUse) {
				t.Fatalf("the pool counts %d pages in use, there are %d", pool.inUse(), len(inUse))
			}
			if pool.promised > len(pool.free)+pool.idle.Len() {
				t.Fatalf("%d pages promised, %d can be taken", pool.promised, len(pool.free)+pool.idle.Len())
			}
		}
		for _, one := range users {
			pool.release(&one.lease)
		}
		if pool.inUse() != 0 || pool.promised != 0 {
			t.Fatalf("at the end %d pages are in use, %d promised", pool.inUse(), pool.promised)
		}
	})
}

// content is what a position holds: its token, turned by the position.
func content(tokens []int32, position int) int32 { return tokens[position] + 2*int32(position) }

func TestSaltsKeepPrefixesApart(t *testing.T) {
	pool := newPagePool(8)
	prompt := make([]int32, 3*PageSize)
	first, _ := pool.admit("a", prompt, len(prompt), true)
	pool.grow(&first, len(prompt))
	pool.publish(&first, prompt, len(prompt))
	pool.release(&first)
	for salt, want := range map[string]int{"a": 2, "b": 0} {
		again, ok := pool.admit(salt, prompt, len(prompt), true)
		if !ok || len(again.pages) != want {
			t.Errorf("salt %q finds %d cached pages, want %d", salt, len(again.pages), want)
		}
		pool.release(&again)
	}
}

func TestUnusedPagesOfAChainAreEvictedFromItsEnd(t *testing.T) {
	pool := newPagePool(4)
	prompt := make([]int32, 4*PageSize)
	held, _ := pool.admit("", prompt, len(prompt), true)
	pool.grow(&held, len(prompt))
	pool.publish(&held, prompt, len(prompt))
	pool.release(&held)
	other, ok := pool.admit("", []int32{9}, 1, true)
	if !ok {
		t.Fatal("idle pages were not given up")
	}
	pool.grow(&other, 1)
	again, ok := pool.admit("", prompt[:3*PageSize+1], 3*PageSize, true)
	if !ok || len(again.pages) != 3 {
		t.Errorf("after one eviction %d pages of the chain are left, want 3", len(again.pages))
	}
}

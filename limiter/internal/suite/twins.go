package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/penstockhq/penstock/limiter"
)

// ErrTwins is wrapped by the error of twins that do not answer alike.
var ErrTwins = errors.New("two limiters answer differently")

// Twins returns a limiter that does everything in two limiters, and gives the answers of
// the second. Every answer must be that of the first too, but for the handles.
func Twins(first, second Limiter) Limiter {
	return &twins{first, second, make(map[limiter.Handle]limiter.Handle)}
}

type twins struct {
	first, second Limiter
	handles       map[limiter.Handle]limiter.Handle // of the first, by those of the second
}

func (w *twins) Reserve(ctx context.Context, request limiter.Request) (limiter.Decision, error) {
	want, wantErr := w.first.Reserve(ctx, request)
	got, err := w.second.Reserve(ctx, request)
	if err == nil && got.Admitted {
		w.handles[got.Handle] = want.Handle
	}
	want.Handle = got.Handle
	return got, differ("reserve", want, got, wantErr, err)
}

func (w *twins) Settle(ctx context.Context, handle limiter.Handle, actual limiter.Tokens) error {
	want := w.first.Settle(ctx, w.handles[handle], actual)
	err := w.second.Settle(ctx, handle, actual)
	return differ("settle", 0, 0, want, err)
}

func (w *twins) Cancel(ctx context.Context, handle limiter.Handle) error {
	want := w.first.Cancel(ctx, w.handles[handle])
	err := w.second.Cancel(ctx, handle)
	return differ("cancel", 0, 0, want, err)
}

func (w *twins) Inspect(ctx context.Context, request limiter.Request) (limiter.State, error) {
	want, wantErr := w.first.Inspect(ctx, request)
	answer, err := w.second.Inspect(ctx, request)
	got := answer
	got.Scopes = slices.Clone(answer.Scopes)
	for _, state := range []*limiter.State{&want, &got} {
		for i := range state.Scopes {
			// One of them may have forgotten a scope that is idle, and with it that tokens
			// were counted apart.
			window := &state.Scopes[i].Window
			if window.Tokens == 0 {
				window.Input, window.Output = max(0, window.Input), max(0, window.Output)
			}
			slices.SortFunc(state.Scopes[i].Calls, func(a, b limiter.OpenCall) int {
				return cmp.Or(cmp.Compare(a.Age, b.Age), cmp.Compare(a.Left, b.Left),
					cmp.Compare(a.Reserved.Input, b.Reserved.Input), cmp.Compare(a.Reserved.Output, b.Reserved.Output))
			})
		}
	}
	return answer, differ("inspect", want, got, wantErr, err)
}

// differ returns the error of the second, or says that the answers differ.
func differ(what string, want, got any, wantErr, err error) error {
	if (wantErr == nil) != (err == nil) || err != nil && !errors.Is(err, wantErr) {
		return fmt.Errorf("%w: %s gives the errors %w and %w", ErrTwins, what, wantErr, err)
	}
	if err == nil && !reflect.DeepEqual(want, got) {
		return fmt.Errorf("%w: %s gives\n%+v and\n%+v", ErrTwins, what, want, got)
	}
	return err
}

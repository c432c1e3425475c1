// Package limits is one row of limits: what its limits are called, which values they
// may have, which rows apply to a call, and from when on a change of them binds.
//
// The limiter counts by rows, the ledger keeps them with a key, and the
// administration, the command line and the Caddyfile read and show them. All of them
// use this package, so that a rule is added here, and in the limiter that counts it.
//
//	row := limits.Row{RPM: 60, TPM: 30_000}
//	if err := row.Check(); err != nil {
//		// a *limits.ValueError names the field and the value
//	}
//	bindings := limits.Applying(nil, []limits.Row{row}, limits.Change{}, "llama-3.1-8b")
//
// # What to know
//
// A limit of 0 is no limit, not a ban: clients of hosted platforms send 0 for every
// limit that they leave out.
//
// Two rows are the same row if they agree in model and token type. A key may have a
// row for input tokens and one for output tokens, of one model or of all; all of them
// bind.
//
// A changed row acts at once, unless it comes with what it was before: then limits per
// minute change with the next full minute, and limits per day at the next midnight.
//
// The package imports nothing but the standard library, and holds no state.
package limits

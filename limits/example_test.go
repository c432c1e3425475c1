package limits_test

import (
	"fmt"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// A key has a row of its own and one for a model. The first was changed a moment ago.
func Example() {
	noon := time.Date(2026, 3, 10, 12, 0, 30, 0, time.UTC)
	rows := []limits.Row{{RPM: 60, RPD: 1000}, {Model: "llama-3.1-8b", TPM: 30_000, TokenType: limits.Output}}
	change := limits.Change{Previous: []limits.Row{{RPM: 10, RPD: 100}}, At: noon}

	for _, row := range limits.InForce(rows, change, noon.Add(time.Minute), time.UTC) {
		fmt.Printf("%q: %d requests a minute, %d a day, %d tokens a minute (%s)\n", row.Model, row.RPM, row.RPD, row.TPM, row.TokenType)
	}
	// Output:
	// "": 60 requests a minute, 100 a day, 0 tokens a minute (total)
	// "llama-3.1-8b": 0 requests a minute, 0 a day, 30000 tokens a minute (output)
}

func ExampleRow_Check() {
	row := limits.Row{TPM: -1}
	fmt.Println(row.Check())
	// Output: tpm: -1 is not between 0 (no limit) and 9007199254740991
}

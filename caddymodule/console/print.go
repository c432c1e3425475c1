package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/limits"
)

// record is a JSON object of a reply.
type record map[string]any

// text returns a member as text for a table, a dash if it is absent.
func (r record) text(name string) string {
	switch value := r[name].(type) {
	case nil:
		return "-"
	case string:
		return cmp.Or(value, "-")
	case float64:
		return fmt.Sprintf("%.0f", value)
	case []any:
		words := make([]string, len(value))
		for i := range value {
			words[i] = fmt.Sprint(value[i])
		}
		return cmp.Or(strings.Join(words, ","), "-")
	default:
		return fmt.Sprint(value)
	}
}

// texts returns several members as text.
func (r record) texts(names ...string) []string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = r.text(name)
	}
	return texts
}

// object returns a member that is an object.
func (r record) object(name string) record {
	object, _ := r[name].(map[string]any)
	return object
}

// list returns a member that is a list of objects.
func (r record) list(name string) []record {
	elements, _ := r[name].([]any)
	records := make([]record, 0, len(elements))
	for _, element := range elements {
		object, _ := element.(map[string]any)
		records = append(records, object)
	}
	return records
}

// printJSON prints a value for machines.
func printJSON(cmd *cobra.Command, value any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// table prints rows in columns.
type table struct{ writer *tabwriter.Writer }

func newTable(to io.Writer, columns ...string) *table {
	t := &table{tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)}
	if len(columns) > 0 {
		t.row(columns...)
	}
	return t
}

func (t *table) row(cells ...string) {
	fmt.Fprintln(t.writer, strings.Join(cells, "\t"))
}

// flush prints the rows. The writer keeps its first error until then.
func (t *table) flush() error { return t.writer.Flush() }

// limitsText writes a row of limits in one line, as the flags take them.
func limitsText(row record) string {
	var words []string
	for _, name := range limits.Names() {
		if number, _ := row[name].(float64); number > 0 {
			words = append(words, fmt.Sprintf("%s=%.0f", name, number))
		}
	}
	if kind := row.text("token_type"); len(words) > 0 && kind != "total" {
		words = append(words, "token_type="+kind)
	}
	return cmp.Or(strings.Join(words, " "), "none")
}

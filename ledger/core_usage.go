package ledger

// noUsage ends a chain of usage rows.
const noUsage = 0

// usageRow sums up what one key used of one model on one UTC day.
type usageRow struct {
	key, model            uint32
	day                   int32
	next                  uint32 // number of the key's next row
	requests              int64
	input, cached, output int64
	duration              int64 // microseconds
	charged               Micro
}

// usageTable holds the rows of the days that are not closed yet. The rows of a key
// form a chain that starts at the key. Row numbers count from 1.
type usageTable struct{ rows []usageRow }

// row returns the row of a key, model and day, a new one if need be. It moves the
// row to the front of the chain: the next call most likely needs it again.
func (t *usageTable) row(k *keyRow, key, model uint32, day int32) *usageRow {
	link := &k.usage
	for number := *link; number != noUsage; number = *link {
		row := &t.rows[number-1]
		if row.model == model && row.day == day {
			if number != k.usage {
				// A row that is in front already would become its own successor.
				*link, row.next = row.next, k.usage
				k.usage = number
			}
			return row
		}
		link = &row.next
	}
	t.rows = append(t.rows, usageRow{key: key, model: model, day: day, next: k.usage})
	k.usage = uint32(len(t.rows))
	return &t.rows[k.usage-1]
}

// dropBefore forgets the rows of closed days, which live on in the store.
func (t *usageTable) dropBefore(day int32, keys []keyRow) {
	kept := t.rows[:0:0]
	for _, row := range t.rows {
		if row.day >= day {
			kept = append(kept, row)
		}
	}
	if len(kept) == len(t.rows) {
		return
	}
	t.rows = kept
	t.chain(keys)
}

// chain links all rows to their keys anew.
func (t *usageTable) chain(keys []keyRow) {
	for i := range keys {
		keys[i].usage = noUsage
	}
	for i := range t.rows {
		row := &t.rows[i]
		row.next = keys[row.key].usage
		keys[row.key].usage = uint32(i + 1)
	}
}

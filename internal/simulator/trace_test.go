package simulator

import (
	"strings"
	"testing"
	"time"
)

func TestTracesAreRead(t *testing.T) {
	rows, err := ReadMooncake(strings.NewReader(`{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}
{"timestamp": 1500, "input_length": 512, "output_length": 7, "hash_ids": [0]}
`))
	if err != nil || len(rows) != 2 || rows[1].At != 1500*time.Millisecond || rows[0].Input != 600 || len(rows[0].Blocks) != 2 {
		t.Errorf("%+v, %v", rows, err)
	}
	rows, err = ReadAzure(strings.NewReader("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"))
	if err != nil || len(rows) != 2 || rows[1].At.Round(time.Millisecond) != 4315*time.Millisecond || rows[1].Output != 109 {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestBadTracesAreRefusedWithTheirLine(t *testing.T) {
	for _, text := range []string{`{"timestamp": "x"}`, `{"input_length": 600, "hash_ids": [1]}`, `{"input_length": 0, "hash_ids": []}`} {
		if _, err := ReadMooncake(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"1,2", "now,1,2", "2023-11-16 18:15:46,a,2", "2023-11-16 18:15:46,1,b"} {
		if _, err := ReadAzure(strings.NewReader("names\n" + text)); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestATraceIsReplayedFaster(t *testing.T) {
	rows := []Row{{0, 600, 5, []uint64{1, 2}}, {10 * time.Second, 600, 5, []uint64{1, 3}}, {20 * time.Second, 80, 5, nil}}
	config := Replay("t", rows, 2, Four[:1]).Config()
	config.Warmup = 1
	result := Simulate(config, LeastConn.Make)
	if config.Length != 10*time.Second || result.Served != 2 || result.Hit < .3 {
		t.Errorf("%v %+v", config.Length, result)
	}
}

package gpubackend

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// A file's name for itself may be any bytes. Metrics take only UTF-8, and a
// model needs a name to be asked for.
func TestModelIsServedWhateverItsFileCallsIt(t *testing.T) {
	for inFile, want := range map[string]string{
		"a\xffb": "a\uFFFDb", "": "some\uFFFDfile.gguf", " \n": "some\uFFFDfile.gguf", "two\nlines": "two\nlines",
	} {
		config := testmodel.Tiny()
		config.Extra = map[string]any{"general.name": inFile}
		path := filepath.Join(t.TempDir(), "some\xfffile.gguf")
		err := os.WriteFile(path, testmodel.Build(config), 0o600)
		if err != nil && runtime.GOOS == "darwin" {
			t.Skip("its file systems want names in UTF-8:", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, front := start(t, WithModelFile(path), WithVLLMMetrics())
		reply, err := front.Client().Get(front.URL + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Data []modelBody }
		err = json.NewDecoder(reply.Body).Decode(&list)
		reply.Body.Close()
		if err != nil || len(list.Data) != 1 || list.Data[0].ID != want {
			t.Fatalf("%q: %+v, %v; want the name %q", inFile, list, err, want)
		}
		name, _ := json.Marshal(want)
		var body inferBody
		decode(t, front, "/infer", `{"prompt":"Hi","max_tokens":1,"model":`+string(name)+`}`, &body)
		if body.Model != want {
			t.Errorf("%q: the reply names the model %q", inFile, body.Model)
		}
		metrics, err := front.Client().Get(front.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(metrics.Body)
		metrics.Body.Close()
		if !strings.Contains(string(text), "gpubackend_slots{") {
			t.Errorf("%q: no metrics: %s", inFile, text)
		}
	}
}

func TestModelWithoutANameIsNotFound(t *testing.T) {
	_, front := start(t)
	reply, err := front.Client().Get(front.URL + "/v1/models/")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if text, _ := io.ReadAll(reply.Body); reply.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s", reply.StatusCode, text)
	}
}

func TestModelsSayThatTheModelIsADemonstration(t *testing.T) {
	_, front := start(t)
	reply, err := front.Client().Get(front.URL + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	var body struct{ Data []modelBody }
	if err := json.NewDecoder(reply.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if len(body.Data) != 1 || body.Data[0].ID != "tiny" || !body.Data[0].Demonstration || body.Data[0].Description == "" {
		t.Errorf("models: %+v", body.Data)
	}
}

package dialect

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// specs are all operations. To add one, write its spec and add it here.
var specs = []*Spec{
	&chatSpec, &completionsSpec, &embeddingsSpec, &responsesSpec, &modelsSpec, &modelSpec,
	&speechSpec, &transcriptionsSpec, &translationsSpec, &imagesSpec,
	&messagesSpec, &countTokensSpec,
	&inferSpec,
	&executeSpec, &startSpec, &pollSpec,
	&ollamaGenerateSpec, &ollamaChatSpec, &ollamaEmbedSpec,
	&ollamaTagsSpec, &ollamaShowSpec, &ollamaVersionSpec,
	&llamaCppSpec,
	&tgiSpec, &tgiStreamSpec, // and SGLang, on the same path
	&rerankSpec, &scoreSpec, &poolingSpec, &classifySpec, &moderationsSpec, &tokenizeSpec, &detokenizeSpec,
}

// customSpec is a path that the operator named. Its body is not read.
var customSpec = Spec{Class: "custom", Permission: PermissionRAG}

// Route is what a path means. The zero Route is a path that is not metered.
type Route struct {
	Spec *Spec
	// Target is what the path names: the model of an aiXplain run, or the id of
	// the run to poll. It is unescaped.
	Target string
}

// Custom returns the route of a path that the operator named.
func Custom() Route { return Route{Spec: &customSpec} }

// Class returns the class of path.
func (r Route) Class() string {
	if r.Spec == nil {
		return "none"
	}
	return r.Spec.Class
}

// Translated says that the call goes to upstreams as an OpenAI chat completion.
func (r Route) Translated() bool { return r.Spec != nil && r.Spec.translation != nil }

// targetPath is the path of an operation up to its target.
type targetPath struct {
	path string
	spec *Spec
}

// exactPaths and targetPaths hold the paths of all operations.
var exactPaths, targetPaths = pathsOf(specs)

func pathsOf(specs []*Spec) (map[string]*Spec, []targetPath) {
	exact := map[string]*Spec{}
	var withTarget []targetPath
	for _, spec := range specs {
		for _, path := range spec.Paths {
			if strings.HasSuffix(path, "/") {
				withTarget = append(withTarget, targetPath{path, spec})
			} else if exact[path] == nil {
				exact[path] = spec
			} else {
				panic("dialect: two operations share the path " + path)
			}
		}
	}
	return exact, withTarget
}

// Classify says what a request's method and escaped path mean. It knows only
// paths that it can meter: everything else is not found, and it is for the
// caller to refuse it. An unknown method on a known path is not found either; Methods
// tells the two apart. HEAD is served where GET is.
func Classify(method, escapedPath string) (Route, bool) {
	route, ok := find(escapedPath)
	if !ok || !route.Spec.serves(method) {
		return Route{}, false
	}
	return route, true
}

// find finds the operation of a path, whatever the method.
func find(escapedPath string) (Route, bool) {
	if spec := exactPaths[escapedPath]; spec != nil {
		return Route{Spec: spec}, true
	}
	for _, known := range targetPaths {
		path := known.spec.Dialect.description().trim(escapedPath)
		if !strings.HasPrefix(path, known.path) {
			continue
		}
		unescape := unescapeSegment
		if known.spec.LongTarget {
			unescape = unescapeName
		}
		if target, ok := unescape(path[len(known.path):]); ok {
			return Route{Spec: known.spec, Target: target}, true
		}
		break
	}
	return Route{}, false
}

// serves says whether the operation takes a method.
func (s *Spec) serves(method string) bool {
	return method == s.Method || method == http.MethodHead && s.Method == http.MethodGet
}

// Methods returns the methods that a known path takes; empty: the path is not known.
func Methods(escapedPath string) []string {
	route, ok := find(escapedPath)
	switch {
	case !ok:
		return nil
	case route.Spec.Method == http.MethodGet:
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{route.Spec.Method}
}

// Meant returns the known path that a caller of an unknown one most likely means, or
// nothing. Most often the base address of a client lacks the version.
func Meant(escapedPath string) string {
	for _, prefix := range []string{"/v1", "/api"} {
		if path := prefix + escapedPath; exactPaths[path] != nil {
			return path
		}
	}
	// Or it has the version twice, once in the base and once in the path.
	for _, prefix := range []string{"/v1", "/api", "/openai"} {
		if path, ok := strings.CutPrefix(escapedPath, prefix); ok && exactPaths[path] != nil {
			return path
		}
	}
	return ""
}

// trim removes the slash that the dialect's clients put in front.
func (d *description) trim(path string) string {
	if d.doubledSlash && strings.HasPrefix(path, "//") {
		return path[1:]
	}
	return path
}

// NameOf returns the dialect whose errors a path's callers understand, also for
// paths that are not metered.
func NameOf(escapedPath string) Name {
	if spec := exactPaths[escapedPath]; spec != nil {
		return spec.Dialect
	}
	for i := range descriptions {
		path := descriptions[i].trim(escapedPath)
		for _, prefix := range descriptions[i].prefixes {
			if strings.HasPrefix(path, prefix) {
				return Name(i)
			}
		}
	}
	return OpenAI
}

// unescapeSegment unescapes one path segment; more than one is refused, and so is
// what is too long to name a model.
func unescapeSegment(escaped string) (string, bool) {
	if strings.Contains(escaped, "/") {
		return "", false
	}
	return unescapeName(escaped)
}

// unescapeName unescapes what may be several segments.
func unescapeName(escaped string) (string, bool) {
	name, err := url.PathUnescape(escaped)
	return name, err == nil && name != "" && len(name) <= maxModelName && utf8.ValidString(name)
}

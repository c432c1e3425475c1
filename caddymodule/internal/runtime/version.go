package runtime

import "runtime/debug"

// modulePath is the path of the Go module that Penstock is.
const modulePath = "github.com/penstockhq/penstock"

// Version returns the version of Penstock in this program.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknownVersion
	}
	return versionIn(info)
}

// unknownVersion is the version of a checkout that says nothing about itself.
const unknownVersion = "unknown"

// versionIn returns the version of Penstock in a program: that of the module, or else the
// commit of the checkout that it was built from.
func versionIn(info *debug.BuildInfo) string {
	version, commit := "", ""
	for _, module := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if module.Path == modulePath {
			version = module.Version
		}
	}
	if version != "" && version != "(devel)" {
		return version
	}
	if info.Main.Path == modulePath {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				commit = setting.Value
			}
		}
	}
	if commit != "" {
		return commit
	}
	return unknownVersion
}

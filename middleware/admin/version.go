package admin

import (
	"strconv"
	"strings"
)

// versionTag writes a key's version as an entity tag.
func versionTag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// versionRead returns the version that the caller read, from the body or from
// If-Match. It is required: without it a second administrator would undo what the
// first did and nobody would know.
func (c *call) versionRead(f *fields) int64 {
	version, inBody := f.integer("version", 1, maxLimit)
	tag := c.request.Header.Get("If-Match")
	if tag == "" {
		if !inBody {
			f.refuse("version", "required: the version of the key as it was read")
		}
		return version
	}
	tagged, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
	if err != nil || tagged < 1 || inBody && tagged != version {
		f.refuse("version", "If-Match is not the version of the key as it was read")
	}
	return tagged
}

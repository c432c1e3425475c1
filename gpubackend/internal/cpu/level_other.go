//go:build !amd64

package cpu

import "fmt"

// kernelsFor returns the kernels of a level, the best one for the empty name.
func kernelsFor(level string) (*kernels, error) {
	if level != "" && level != "generic" {
		return nil, fmt.Errorf("level %q is not available on this processor, only \"generic\" is", level)
	}
	return genericKernels(), nil
}

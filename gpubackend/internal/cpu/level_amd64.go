package cpu

import (
	"fmt"
	"slices"

	"golang.org/x/sys/cpu"
)

// kernelsFor returns the kernels of a level, the best one for the empty name.
func kernelsFor(level string) (*kernels, error) {
	have := []string{"generic"}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C {
		have = append(have, "avx2")
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VNNI {
			have = append(have, "avx512")
		}
	}
	if level == "" {
		level = have[len(have)-1]
	}
	if !slices.Contains(have, level) {
		return nil, fmt.Errorf("level %q is not available on this processor, only %q are", level, have)
	}
	switch level {
	case "avx2":
		return avx2Kernels(), nil
	case "avx512":
		return avx512Kernels(), nil
	}
	return genericKernels(), nil
}

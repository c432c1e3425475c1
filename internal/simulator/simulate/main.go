// Command simulate compares ways to balance calls among inference servers in a model of them,
// and prints a table, or JSON for programs.
//
//	go run ./internal/simulator/simulate                      # ordinary workloads, at fixed rates
//	go run ./internal/simulator/simulate -capacity            # the rates at which targets are met
//	go run ./internal/simulator/simulate -workloads traps
//	go run ./internal/simulator/simulate -mooncake trace.jsonl -speed 2.5 -engines 8
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/penstockhq/penstock/internal/simulator"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	workloads, routers string
	mooncake, azure    string
	speed              float64
	engines, seeds     int
	gateways           int
	capacity, json     bool
}

func run(arguments []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.StringVar(&o.workloads, "workloads", "ordinary", "names with commas between them, or ordinary, traps or all")
	flags.StringVar(&o.routers, "routers", "", "names with commas between them; all if empty")
	flags.StringVar(&o.mooncake, "mooncake", "", "a `file` of a trace of Mooncake's to replay")
	flags.StringVar(&o.azure, "azure", "", "a `file` of a trace of Azure's to replay")
	flags.Float64Var(&o.speed, "speed", 1, "how much faster than it was recorded a trace is replayed")
	flags.IntVar(&o.engines, "engines", 8, "how many H100 serve a trace")
	flags.IntVar(&o.seeds, "seeds", 2, "how often each experiment is repeated")
	flags.IntVar(&o.gateways, "gateways", 1, "how many gateways share the calls without knowing of each other")
	flags.BoolVar(&o.capacity, "capacity", false, "look for the rate at which the target is met")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	workloads, err := o.chosenWorkloads()
	if err != nil {
		return err
	}
	routers, err := o.chosenRouters()
	if err != nil {
		return err
	}
	var lines []simulator.Line
	for _, workload := range workloads {
		workload.Gateways = o.gateways
		measured := simulator.Compare(workload, routers, o.seeds)
		for i := range measured {
			if o.capacity {
				measured[i].Capacity = simulator.Capacity(workload.Config(), routers[i], simulator.DefaultTarget, o.seeds)
			}
		}
		lines = append(lines, measured...)
	}
	if o.json {
		return json.NewEncoder(out).Encode(lines)
	}
	return simulator.WriteTable(out, lines)
}

// chosenWorkloads returns what is to be run.
func (o *options) chosenWorkloads() ([]simulator.Workload, error) {
	if o.mooncake != "" || o.azure != "" {
		return o.traces()
	}
	ordinary, traps := simulator.Workloads(), simulator.Traps()
	switch o.workloads {
	case "ordinary":
		return ordinary, nil
	case "traps":
		return traps, nil
	case "all":
		return slices.Concat(ordinary, traps), nil
	}
	return choose(o.workloads, slices.Concat(ordinary, traps), func(w simulator.Workload) string { return w.Name })
}

func (o *options) chosenRouters() ([]simulator.Named, error) {
	if o.routers == "" {
		return simulator.Ladder(), nil
	}
	return choose(o.routers, simulator.Ladder(), func(n simulator.Named) string { return n.Name })
}

// choose returns the things of a list that are named.
func choose[T any](names string, list []T, nameOf func(T) string) ([]T, error) {
	var chosen []T
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(list, func(one T) bool { return nameOf(one) == name })
		if i < 0 {
			var known []string
			for _, one := range list {
				known = append(known, nameOf(one))
			}
			return nil, fmt.Errorf("there is no %q; known: %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, list[i])
	}
	return chosen, nil
}

// traces returns the workloads that replay traces.
func (o *options) traces() ([]simulator.Workload, error) {
	engines := make([]simulator.Hardware, o.engines)
	for i := range engines {
		engines[i] = simulator.H100
	}
	var workloads []simulator.Workload
	for _, trace := range []struct {
		path, name string
		read       func(io.Reader) ([]simulator.Row, error)
	}{{o.mooncake, "mooncake", simulator.ReadMooncake}, {o.azure, "azure", simulator.ReadAzure}} {
		if trace.path == "" {
			continue
		}
		file, err := os.Open(trace.path)
		if err != nil {
			return nil, err
		}
		rows, err := trace.read(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", trace.path, err)
		}
		workloads = append(workloads, simulator.Replay(trace.name, rows, o.speed, engines))
	}
	return workloads, nil
}

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/tools/internal/bench"
)

func (a *app) benchCommands() *cobra.Command {
	cmd := group("bench", "Measure the store", `
Measure the store. Rates are per second; MB are millions of bytes; rss_mb and descriptors are what the process holds at the
end. The store is made for the measurement and removed afterwards, unless --store says where to leave it.`, `
cairn bench append --batch 1000 --count 500000 --sync never
cairn bench get --json
cairn bench many --feeds 100000`)
	p := &profiles{}
	flags := cmd.PersistentFlags()
	flags.StringVar(&p.cpu, "cpuprofile", "", "write a CPU profile to this `file`")
	flags.StringVar(&p.memory, "memprofile", "", "write a profile of allocations to this `file`")

	forAppend := &bench.Options{}
	appending := a.benchCommand(p, forAppend, "append", "Append blocks to one feed", bench.Append)
	appending.Flags().IntVar(&forAppend.Count, "count", 50_000, "how many `blocks` to append")
	appending.Flags().IntVar(&forAppend.Batch, "batch", 1, "how many `blocks` at a time")

	forGet := &bench.Options{}
	getting := a.benchCommand(p, forGet, "get", "Read blocks at random", bench.Get)
	getting.Flags().IntVar(&forGet.Count, "count", 400_000, "how many `blocks` to read")
	getting.Flags().IntVar(&forGet.Blocks, "blocks", 20_000, "how many `blocks` there are")

	forMany := &bench.Options{}
	many := a.benchCommand(p, forMany, "many", "Create, open and read many feeds", bench.Many)
	many.Flags().IntVar(&forMany.Feeds, "feeds", 1000, "how many `feeds`")

	forReplicate := &bench.Options{}
	replicating := a.benchCommand(p, forReplicate, "replicate", "Replicate a feed from one store to another over TCP", bench.Replicate)
	replicating.Flags().IntVar(&forReplicate.Count, "count", 200_000, "how many `blocks` to replicate")

	cmd.AddCommand(appending, getting, many, replicating, a.benchDHTCommand(p))
	return cmd
}

func (a *app) benchCommand(p *profiles, o *bench.Options, name, short string, run func(context.Context, bench.Options) (bench.Report, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Long: short + " and report how many a second.",
		Example: indent("cairn bench " + name + " --sync never --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("store") {
				o.Dir = a.store
			}
			var r bench.Report
			err := p.during(func() (err error) {
				r, err = run(cmd.Context(), *o)
				return err
			})
			if err != nil {
				return err
			}
			return a.print(benchReport{r})
		},
	}
	cmd.Flags().IntVar(&o.Size, "size", 1024, "`bytes` of a block")
	addSync(cmd, &o.Sync)
	return cmd
}

// profiles are the files that profiles are written to, where they were asked for.
type profiles struct{ cpu, memory string }

// during profiles a call.
func (p *profiles) during(do func() error) error {
	if p.cpu != "" {
		f, err := os.Create(p.cpu)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := do(); err != nil || p.memory == "" {
		return err
	}
	f, err := os.Create(p.memory)
	if err != nil {
		return err
	}
	runtime.GC() // the profile is of the last collection
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// benchReport is what a benchmark found out.
type benchReport struct{ bench.Report }

func (r benchReport) text(w io.Writer) {
	var rows [][]string
	for _, figure := range []struct {
		name  string
		value float64
	}{
		{"append_per_s", r.AppendPerSecond},
		{"append_mb_per_s", r.AppendMBPerSecond},
		{"get1_per_s", r.Get1PerSecond},
		{"get_per_s", r.GetPerSecond},
		{"create_per_s", r.CreatePerSecond},
		{"open_get_per_s", r.OpenGetPerSecond},
		{"replicate_blocks_per_s", r.ReplicateBlocksPerSecond},
		{"replicate_mb_per_s", r.ReplicateMBPerSecond},
		{"stream_mb_per_s", r.StreamMBPerSecond},
		{"connect_ms", r.ConnectMS},
		{"put_per_s", r.PutPerSecond},
		{"lookup_per_s", r.LookupPerSecond},
		{"rss_mb", r.RSSMB},
		{"descriptors", float64(r.Descriptors)},
	} {
		if figure.value != 0 {
			rows = append(rows, []string{figure.name, figureText(figure.value)})
		}
	}
	table(w, rows)
}

// figureText writes a figure with as many digits as mean something.
func figureText(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return number(uint64(v + 0.5))
}

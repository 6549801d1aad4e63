package main

import (
	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/tools/internal/bench"
)

func (a *app) benchDHTCommand(p *profiles) *cobra.Command {
	o := &bench.Options{}
	cmd := &cobra.Command{
		Use: "dht", Short: "Connect, stream, put and get over a DHT of ten nodes",
		Long: `Run a DHT of ten nodes on this machine, connect to a server in it, move data through one connection, and put and get records.
connect_ms is the median of 20 connects; lookup_per_s is how many records are got.`,
		Example: indent("cairn bench dht --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r bench.Report
			err := p.during(func() (err error) {
				r, err = bench.DHT(cmd.Context(), *o)
				return err
			})
			if err != nil {
				return err
			}
			return a.print(benchReport{r})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Count, "count", 2000, "how many `pieces` to send through a connection")
	flags.IntVar(&o.Size, "size", 65536, "`bytes` of a piece")
	flags.IntVar(&o.Records, "records", 1000, "how many `records` to put and to get")
	return cmd
}

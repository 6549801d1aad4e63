package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) inspectCommand() *cobra.Command {
	var runs int
	cmd := &cobra.Command{
		Use: "inspect [FEED]", Short: "Show what the store, or a feed, consists of",
		Long: `Show what the store holds: its feeds, how many of their blocks are here, and what takes the space, by kind of row. With FEED,
show one feed in depth: roots, signatures, which blocks are here, rows.

Rows are counted before the files compress or collect them; "disk" is what the files take.`,
		Example: indent("cairn inspect\ncairn inspect notes\ncairn inspect notes --json --runs 1000"),
		Args:    arguments(0, 1), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			if runs < 0 {
				return &usageError{cmd, fmt.Errorf("--runs %d is negative", runs)}
			}
			return a.withStore(cmd.Context(), read, func(s *engine.Store) error {
				if len(args) == 0 {
					v, err := inspectStore(cmd.Context(), s)
					if err != nil {
						return err
					}
					return a.print(v)
				}
				info, err := s.Find(args[0])
				if err != nil {
					return err
				}
				in, err := s.Inspect(cmd.Context(), info.DiscoveryKey, runs)
				if err != nil {
					return err
				}
				return a.print(newFeedInspection(in))
			})
		},
	}
	cmd.Flags().IntVar(&runs, "runs", 20, "most `ranges` of blocks that are here to list")
	return cmd
}

// rowCount are rows of one kind.
type rowCount struct {
	Rows       uint64 `json:"rows"`
	KeyBytes   uint64 `json:"keyBytes"`
	ValueBytes uint64 `json:"valueBytes"`
}

// rowCounts are rows by kind.
type rowCounts struct {
	BlockGroups rowCount `json:"blockGroups"` // rows of several blocks
	Blocks      rowCount `json:"blocks"`      // rows of one block
	NodeGroups  rowCount `json:"nodeGroups"`
	Nodes       rowCount `json:"nodes"`
	Signatures  rowCount `json:"signatures"`
	MapPages    rowCount `json:"mapPages"`
}

func newRowCounts(u engine.Usage) rowCounts {
	return rowCounts{
		BlockGroups: rowCount(u.BlockGroups), Blocks: rowCount(u.Blocks), NodeGroups: rowCount(u.NodeGroups),
		Nodes: rowCount(u.Nodes), Signatures: rowCount(u.Signatures), MapPages: rowCount(u.MapPages),
	}
}

// table lays the counts out, with their sum.
func (c rowCounts) table(w io.Writer) {
	rows := [][]string{{"ROWS OF", "COUNT", "KEYS", "VALUES"}}
	var sum rowCount
	for _, kind := range []struct {
		name string
		rowCount
	}{
		{"blocks, grouped", c.BlockGroups},
		{"blocks, single", c.Blocks},
		{"tree nodes, grouped", c.NodeGroups},
		{"tree nodes, single", c.Nodes},
		{"signatures", c.Signatures},
		{"block map", c.MapPages},
	} {
		rows = append(rows, []string{kind.name, number(kind.Rows), size(kind.KeyBytes), size(kind.ValueBytes)})
		sum.Rows += kind.Rows
		sum.KeyBytes += kind.KeyBytes
		sum.ValueBytes += kind.ValueBytes
	}
	table(w, append(rows, []string{"all", number(sum.Rows), size(sum.KeyBytes), size(sum.ValueBytes)}))
}

// largestFeeds is how many feeds an inspection of the store lists.
const largestFeeds = 10

// storeInspection is what a store holds.
type storeInspection struct {
	Store      string     `json:"store"`
	ID         string     `json:"id"`
	Sealed     bool       `json:"sealed"` // the secret keys
	Feeds      uint64     `json:"feeds"`
	Writable   uint64     `json:"writable"`
	Guarded    uint64     `json:"guarded"`
	Forked     uint64     `json:"forked"`
	Length     uint64     `json:"length"`     // of all feeds
	ByteLength uint64     `json:"byteLength"` // of all feeds
	Downloaded uint64     `json:"downloaded"` // blocks that are here
	DiskBytes  uint64     `json:"diskBytes"`
	Rows       rowCounts  `json:"rows"`
	Largest    []feedInfo `json:"largest"`
}

func inspectStore(ctx context.Context, s *engine.Store) (storeInspection, error) {
	id := s.ID()
	v := storeInspection{Store: s.Dir(), ID: hex.EncodeToString(id[:]), Sealed: s.Sealed(), Largest: []feedInfo{}}
	for info, err := range s.Feeds() {
		if err != nil {
			return v, err
		}
		v.add(newFeedInfo(info))
	}
	u, err := s.Usage(ctx)
	if err != nil {
		return v, err
	}
	m, err := s.Metrics()
	if err != nil {
		return v, err
	}
	v.Rows, v.DiskBytes = newRowCounts(u), m.DiskBytes
	return v, nil
}

// add counts a feed in.
func (v *storeInspection) add(i feedInfo) {
	v.Feeds++
	v.Writable += one(i.Writable)
	v.Guarded += one(i.Guarded)
	v.Forked += one(i.Forked)
	v.Length += i.Length
	v.ByteLength += i.ByteLength
	v.Downloaded += i.Downloaded
	at, _ := slices.BinarySearchFunc(v.Largest, i, func(x, y feedInfo) int {
		return cmp.Or(cmp.Compare(y.ByteLength, x.ByteLength), x.compare(y))
	})
	v.Largest = slices.Insert(v.Largest, at, i)
	v.Largest = v.Largest[:min(len(v.Largest), largestFeeds)]
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (v storeInspection) text(w io.Writer) {
	rows := [][]string{
		{"store", v.Store},
		{"id", v.ID},
		{"feeds", fmt.Sprintf("%s, %s writable", number(v.Feeds), number(v.Writable))},
		{"blocks", fmt.Sprintf("%s here of %s", number(v.Downloaded), number(v.Length))},
		{"size", size(v.ByteLength) + ", if all blocks were here"},
		{"disk", size(v.DiskBytes)},
	}
	if v.Sealed {
		rows = append(rows, []string{"secret keys", "sealed with a passphrase"})
	}
	if v.Guarded > 0 {
		rows = append(rows, []string{"guarded", plural(v.Guarded, "feed") + " may be out of date and cannot be appended to"})
	}
	if v.Forked > 0 {
		rows = append(rows, []string{"forked", plural(v.Forked, "feed") + " have two signed histories"})
	}
	table(w, rows)
	fmt.Fprintln(w)
	v.Rows.table(w)
	if len(v.Largest) > 0 {
		fmt.Fprintln(w)
		feedList{v.Largest}.text(w)
	}
	if more := v.Feeds - uint64(len(v.Largest)); more > 0 {
		fmt.Fprintf(w, "and %s that are smaller\n", plural(more, "feed"))
	}
}

// feedInspection is one feed in depth.
type feedInspection struct {
	feedInfo
	TreeHash    tree.Hash       `json:"treeHash"`
	Roots       []node          `json:"roots"`
	Signatures  uint64          `json:"signatures"`
	Signed      uint64          `json:"signed"` // blocks that the newest signature covers
	Signature   *tree.Signature `json:"signature"`
	PresentRuns uint64          `json:"presentRuns"`
	Present     [][2]uint64     `json:"present"` // half-open ranges, not more than --runs
	Rows        rowCounts       `json:"rows"`
	DiskBytes   uint64          `json:"diskBytes"`
}

func newFeedInspection(in engine.Inspection) feedInspection {
	v := feedInspection{
		feedInfo: newFeedInfo(in.Info), TreeHash: in.TreeHash, Roots: newNodes(in.Roots), Signatures: in.Signatures, Signed: in.Signed,
		PresentRuns: in.PresentRuns, Present: ranges(in.Present), Rows: newRowCounts(in.Usage), DiskBytes: in.DiskBytes,
	}
	if in.Signed > 0 {
		v.Signature = &in.Signature
	}
	return v
}

func (v feedInspection) text(w io.Writer) {
	v.feedInfo.text(w)
	fmt.Fprintf(w, "\nabout %s on disk\n", size(v.DiskBytes))
	if v.Length > 0 {
		fmt.Fprintf(w, "%s, the newest covers %s\n", plural(v.Signatures, "signature"), plural(v.Signed, "block"))
		if v.Signature != nil {
			fmt.Fprintf(w, "newest signature %v\n", *v.Signature)
		}
		fmt.Fprintf(w, "tree hash %v\n", v.TreeHash)
	}
	if len(v.Present) > 0 {
		fmt.Fprintf(w, "blocks here: %s", rangesText(v.Present))
		if more := v.PresentRuns - uint64(len(v.Present)); more > 0 {
			fmt.Fprintf(w, " and %s more", plural(more, "range"))
		}
		fmt.Fprintln(w)
	}
	if len(v.Roots) > 0 {
		fmt.Fprintln(w, "\nroots")
		table(w, nodeRows(v.Roots))
	}
	fmt.Fprintln(w)
	v.Rows.table(w)
}

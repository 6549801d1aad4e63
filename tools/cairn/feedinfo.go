package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the feeds of the store",
		Long:    "List the feeds of the store: those with names first, by name, then the others by key.",
		Example: indent("cairn feed ls\ncairn feed ls --json"),
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), read, func(s *engine.Store) error {
				list := feedList{Feeds: []feedInfo{}}
				for info, err := range s.Feeds() {
					if err != nil {
						return err
					}
					list.Feeds = append(list.Feeds, newFeedInfo(info))
				}
				slices.SortFunc(list.Feeds, feedInfo.compare)
				return a.print(list)
			})
		},
	}
}

func (a *app) feedInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "info FEED", Short: "Describe a feed",
		Long:    `Describe a feed: its keys, its length, how much of it is here. "cairn inspect FEED" tells more.`,
		Example: indent("cairn feed info notes\ncairn feed info d04ab2 --json"),
		Args:    arguments(1, 1), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), read, func(s *engine.Store) error {
				info, err := s.Find(args[0])
				if err != nil {
					return err
				}
				return a.print(newFeedInfo(info))
			})
		},
	}
}

// feedInfo describes a feed.
type feedInfo struct {
	Key          tree.PublicKey    `json:"key"`
	DiscoveryKey tree.DiscoveryKey `json:"discoveryKey"`
	Name         string            `json:"name"`
	Length       uint64            `json:"length"`
	ByteLength   uint64            `json:"byteLength"`
	Downloaded   uint64            `json:"downloaded"`
	Writable     bool              `json:"writable"`
	Guarded      bool              `json:"guarded"`
	Forked       bool              `json:"forked"`
	Created      time.Time         `json:"created"`
}

func newFeedInfo(i engine.Info) feedInfo {
	return feedInfo{
		Key: i.Key, DiscoveryKey: i.DiscoveryKey, Name: i.Name, Length: i.Length, ByteLength: i.ByteLength, Downloaded: i.Downloaded,
		Writable: i.Writable, Guarded: i.Guarded, Forked: i.Forked, Created: i.Created.UTC(),
	}
}

// compare orders feeds for a list.
func (i feedInfo) compare(j feedInfo) int {
	if (i.Name == "") != (j.Name == "") {
		return -cmp.Compare(i.Name, j.Name)
	}
	return cmp.Or(cmp.Compare(i.Name, j.Name), slices.Compare(i.Key[:], j.Key[:]))
}

// state says in words what is special about a feed.
func (i feedInfo) state() string {
	var words []string
	if i.Writable {
		words = append(words, "writable")
	}
	if i.Guarded {
		words = append(words, "guarded")
	}
	if i.Forked {
		words = append(words, "forked")
	}
	return strings.Join(words, ", ")
}

// here says how much of the feed is here.
func (i feedInfo) here() string {
	switch {
	case i.Length == 0:
		return "-"
	case i.Downloaded == i.Length:
		return "all"
	}
	return fmt.Sprintf("%s (%.1f %%)", number(i.Downloaded), 100*float64(i.Downloaded)/float64(i.Length))
}

func (i feedInfo) text(w io.Writer) {
	table(w, [][]string{
		{"name", cmp.Or(i.Name, "-")},
		{"key", i.Key.String()},
		{"discovery key", i.DiscoveryKey.String()},
		{"length", plural(i.Length, "block") + ", " + plural(i.ByteLength, "byte")},
		{"here", i.here()},
		{"state", cmp.Or(i.state(), "not writable")},
		{"created", i.Created.Format(time.DateTime) + " UTC"},
	})
}

// feedList is the feeds of a store.
type feedList struct {
	Feeds []feedInfo `json:"feeds"`
}

func (l feedList) text(w io.Writer) {
	if len(l.Feeds) == 0 {
		fmt.Fprintln(w, "no feeds")
		return
	}
	rows := [][]string{{"NAME", "KEY", "BLOCKS", "SIZE", "HERE", "STATE"}}
	for _, i := range l.Feeds {
		rows = append(rows, []string{cmp.Or(i.Name, "-"), i.Key.String(), number(i.Length), size(i.ByteLength), i.here(), i.state()})
	}
	table(w, rows)
}

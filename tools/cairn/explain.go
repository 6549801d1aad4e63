package main

import (
	"errors"
	"strings"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/replicate/noise"
	"github.com/cairn-feeds/cairn/tools/internal/ingest"
	"github.com/cairn-feeds/cairn/tree"
)

// advice says what to do about errors. The first that matches counts.
var advice = []struct {
	err error
	do  string
}{
	{engine.ErrNoStore, `"cairn feed new" makes a store; --store or CAIRN_STORE names another one.`},
	{engine.ErrStoreLocked, "One process at a time can use a store: end the other one, or give it time with --wait."},
	{engine.ErrNewerFormat, "Use a newer cairn."},
	{engine.ErrAmbiguous, "Give more of the key."},
	{engine.ErrNoFeed, `"cairn feed ls" lists the feeds of the store.`},
	{engine.ErrGuarded, "If no other copy of the feed was appended to, --force says so and lifts this for good; otherwise connect to a peer that has the feed."},
	{engine.ErrNotWritable, `"cairn keys import" takes the secret key, if you have it.`},
	{engine.ErrSealed, "Give the passphrase at the terminal, in the file that CAIRN_PASSPHRASE_FILE names, or with --passphrase-fd."},
	{engine.ErrBlockTooLarge, "--block-size cuts the input into smaller blocks."},
	{engine.ErrNoSpace, "Nothing of this change was stored. Make room on the disk."},
	{engine.ErrStoreFailed, `What was acknowledged is safe. Look after the disk, then run "cairn check".`},
	{engine.ErrNameTaken, `"cairn feed ls" shows whose it is; "cairn feed rename" gives that feed another one.`},
	{replicate.ErrRefused, `Either it does not have the feed, or it does not show it to us: the two look alike. "cairn doctor" looks closer.`},
	{errUnanswered, `Perhaps it does not have it, or not yet. "cairn doctor" looks closer.`},
	{noise.ErrHandshake, "It speaks something else, or only one side uses --plain."},
	{randomaccess.ErrLocked, "Another program has this directory open."},
	{tree.ErrFork, "Its owner signed two different histories. The store keeps the one that it had."},
	{engine.ErrCorrupt, `"cairn check" tells what is damaged.`},
}

// packages are the beginnings of error texts that say which Go package an error is from.
var packages = strings.NewReplacer("engine: ", "", "tree: ", "", "sleep: ", "", "randomaccess: ", "", "ingest: ", "", "static: ", "", "replicate: ", "", "noise: ", "", "wire: ", "", "dht: ", "", "rpc: ", "", "secretstream: ", "", "udx: ", "")

// explain turns an error into a message for people: what went wrong and, where that is known, what to do.
func explain(err error) string {
	text := packages.Replace(err.Error())
	if _, ok := errors.AsType[*usageError](err); ok {
		return text
	}
	if e, ok := errors.AsType[*ingest.TooLargeError](err); ok && e.Line == 0 {
		return text + "\n--block-size or --lines cut it into smaller ones."
	}
	for _, a := range advice {
		if errors.Is(err, a.err) {
			return text + "\n" + a.do
		}
	}
	return text
}

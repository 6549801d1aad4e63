package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tools/internal/ingest"
)

func (a *app) feedAppendCommand() *cobra.Command {
	acc := access{write: true, secrets: true}
	var lines, whole, force bool
	var blockSize int
	cmd := &cobra.Command{
		Use: "append FEED [FILE]", Short: "Append a file, or what comes on stdin",
		Long: fmt.Sprintf(`Append a file, or what comes on stdin, to a feed that can be written here.

  --whole          one block of the whole input (the default); an empty one of empty input
  --lines          a block of each line, without its newline; none of empty input
  --block-size N   blocks of N bytes, and a shorter last one

With --json an object is printed for each batch of blocks, as soon as it is as durable as --sync promises: seq is the number
of its first block, length and byteLength are those of the feed with it. With --lines a batch is committed at the latest
50 ms after its first line arrived, and at once when no other line follows. Reading goes on meanwhile, with bounded memory.
A signal ends --lines from stdin like the end of the input; a line whose end did not come is not appended then.

A block has at most %s bytes: what hypercore 9 peers can receive.`, number(engine.MaxSendable)),
		Example: indent(`
cairn feed append notes todo.txt
cairn feed append videos film.mp4 --block-size 65536
journalctl -f | cairn feed append log --lines --json`),
		Args: arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := ingest.Options{MaxBlock: engine.MaxSendable}
			switch {
			case lines:
				o.Mode = ingest.Lines
			case cmd.Flags().Changed("block-size"):
				if o.Mode, o.BlockSize = ingest.Pieces, blockSize; blockSize < 1 || blockSize > engine.MaxSendable {
					return &usageError{cmd, fmt.Errorf("--block-size %d is not between 1 and %d", blockSize, engine.MaxSendable)}
				}
			}
			input, err := a.openInput(args[1:])
			if err != nil {
				return err
			}
			defer input.Close()
			if input.stdin && a.passphraseFD == 0 {
				return &usageError{cmd, errors.New("stdin cannot be both the passphrase and the input: name a file")}
			}
			return a.withFeed(cmd.Context(), acc, args[0], func(_ *engine.Store, _ engine.Info, f *engine.Feed) error {
				if err := readyToAppend(cmd.Context(), f, force); err != nil {
					return err
				}
				return a.appendInput(cmd.Context(), f, input, o)
			})
		},
	}
	cmd.ValidArgsFunction = a.completeFeed
	cmd.Flags().BoolVar(&lines, "lines", false, "a block of each line")
	cmd.Flags().IntVar(&blockSize, "block-size", 0, "blocks of this many `bytes`")
	cmd.Flags().BoolVar(&whole, "whole", false, "one block of everything (default)")
	cmd.MarkFlagsMutuallyExclusive("lines", "block-size", "whole")
	cmd.Flags().BoolVar(&force, "force", false, "append even if another copy of the feed may be ahead: you vouch that none is")
	addSync(cmd, &acc.sync)
	return cmd
}

// input is what a command reads.
type input struct {
	io.ReadCloser
	stdin bool
	size  uint64 // 0 when that is not known
}

// openInput opens the file that the arguments name, or stdin.
func (a *app) openInput(args []string) (*input, error) {
	if len(args) == 0 || args[0] == "-" {
		in := &input{ReadCloser: io.NopCloser(a.stdin), stdin: true}
		if f, ok := a.stdin.(*os.File); ok {
			in.size = fileSize(f)
		}
		return in, nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, err
	}
	return &input{ReadCloser: f, size: fileSize(f)}, nil
}

// fileSize returns the size of a regular file, 0 for others.
func fileSize(f *os.File) uint64 {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return 0
	}
	return uint64(st.Size())
}

// readyToAppend refuses early what every append would.
func readyToAppend(ctx context.Context, f *engine.Feed, force bool) error {
	switch {
	case !f.Writable():
		return fmt.Errorf("%v: %w", f, engine.ErrNotWritable)
	case f.Guarded() && force:
		return f.Unguard(ctx)
	case f.Guarded():
		return fmt.Errorf("%v: %w", f, engine.ErrGuarded)
	}
	return nil
}

// appendInput appends all of the input.
func (a *app) appendInput(ctx context.Context, f *engine.Feed, in *input, o ingest.Options) error {
	bar := a.progress("append", "")
	o.OnRead = func(total int64) { bar.Set(uint64(total), in.size) }
	first, bytes := f.Length(), f.ByteLength()
	err := ingest.Run(ctx, in, o, func(blocks [][]byte) error {
		// What was read is appended even if a signal came meanwhile.
		seq, err := f.Append(context.WithoutCancel(ctx), blocks...)
		if err != nil || !a.json {
			return err
		}
		return a.print(batchAnswer{Seq: seq, Length: f.Length(), ByteLength: f.ByteLength()})
	})
	bar.Clear()
	done := appended{blocks: f.Length() - first, bytes: f.ByteLength() - bytes, length: f.Length()}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) && o.Mode == ingest.Lines && in.stdin {
		err = nil
	}
	if err != nil {
		if done.blocks > 0 {
			return fmt.Errorf("%w; appended before that: %s", err, plural(done.blocks, "block"))
		}
		return err
	}
	if a.json {
		return nil
	}
	return a.print(done)
}

// batchAnswer is a batch that was committed.
type batchAnswer struct {
	Seq        uint64 `json:"seq"` // number of the first block
	Length     uint64 `json:"length"`
	ByteLength uint64 `json:"byteLength"`
}

func (b batchAnswer) text(io.Writer) {} // people get one line for all of them

// appended is what an append has done, for people.
type appended struct{ blocks, bytes, length uint64 }

func (d appended) text(w io.Writer) {
	fmt.Fprintf(w, "appended %s, %s: the feed has %s now\n", plural(d.blocks, "block"), plural(d.bytes, "byte"), plural(d.length, "block"))
}

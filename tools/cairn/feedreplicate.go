package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/replicate"
	"github.com/cairn-feeds/cairn/tree"
)

func (a *app) feedReplicateCommand() *cobra.Command {
	acc := access{write: true}
	var o replicateOptions
	var blocks string
	cmd := &cobra.Command{
		Use: "replicate FEED (--listen ADDR | --connect ADDR)", Short: "Exchange a feed with a peer over TCP",
		Long: `Exchange a feed with a peer that speaks the wire protocol of hypercore 9, over TCP. Every block is verified before it is
stored. Of a feed that can be written here nothing is downloaded.

It ends as soon as every block is here and the remote has everything or does not download, also when the remote would stay
connected. With --live it stays and follows the feed, until a signal ends it or, with --connect, the remote does. With --listen
one connection is served, with --live any number. The store is held meanwhile: other commands have to wait.

With --sparse nothing is downloaded but the length of the feed; what is here is offered. --range downloads the blocks A to
B-1 and nothing else. Without --live it is a failure when the remote does not have what is wanted.

The first line of a listener is "listening" and its address. "cairn doctor" tells why a feed does not come.`,
		Example: indent(`
cairn feed replicate notes --listen 127.0.0.1:4000
cairn feed replicate notes --connect 127.0.0.1:4000 --live
cairn feed replicate photos --connect 192.0.2.7:4000 --range 100:110`),
		Args: arguments(1, 1), ValidArgsFunction: a.completeFeed,
		RunE: func(cmd *cobra.Command, args []string) error {
			if blocks != "" {
				start, end, ok := strings.Cut(blocks, ":")
				if !ok {
					return &usageError{cmd, fmt.Errorf("--range is %q, not A:B", blocks)}
				}
				r, err := parseRange(cmd, []string{start, end})
				if err != nil {
					return err
				}
				o.blocks, o.ranged, o.sparse = r, true, true
			}
			return a.replicateFeed(cmd.Context(), acc, args[0], &o)
		},
	}
	o.addTo(cmd)
	cmd.Flags().BoolVar(&o.sparse, "sparse", false, "download no blocks")
	cmd.Flags().StringVar(&blocks, "range", "", "download the blocks `A:B` only, half-open")
	addSync(cmd, &acc.sync)
	return cmd
}

type replicateOptions struct {
	link
	sparse bool
	blocks blockRange // of --range
	ranged bool       // blocks counts
}

// replicateFeed replicates one feed of the store.
func (a *app) replicateFeed(ctx context.Context, acc access, name string, o *replicateOptions) error {
	return a.withStore(ctx, acc, func(s *engine.Store) error {
		info, err := s.Find(name)
		if err != nil {
			return err
		}
		f, err := s.Open(ctx, info.Key, &engine.FeedOptions{MustExist: true, Sparse: o.sparse, EagerUpdate: o.live})
		if err != nil {
			return err
		}
		r := newReplication(f, o, a.logger())
		line := a.progressLine(r.text)
		err = o.run(ctx, a, r.serve)
		r.host.Close()
		line.Clear()
		if err == nil {
			err = a.print(r.answer())
		}
		return errors.Join(err, f.Close())
	})
}

// replication is a feed that is replicated.
type replication struct {
	feed  *engine.Feed
	opts  *replicateOptions
	host  *replicate.Host
	begun *demand.Source   // may bring anything, until there is a peer; nil when nobody waits for that
	want  *engine.Download // of --range
	meter meter

	mu    sync.Mutex
	peers map[*replicate.Session]*visit
}

// visit is one session with its peer.
type visit struct {
	peer   *replicate.Peer
	reason error // why the peer went away
}

func newReplication(f *engine.Feed, o *replicateOptions, log *slog.Logger) *replication {
	r := &replication{feed: f, opts: o, peers: make(map[*replicate.Session]*visit)}
	r.host = replicate.NewHost(nil, &replicate.Options{
		Live: o.live, EndComplete: !o.live, Mode: o.mode(), Logger: log,
		Events: replicate.Events{Session: r.onSession, DiscoveryKey: refuseOthers, PeerRemove: r.onRemove},
	})
	if o.ranged {
		r.want = f.Download(engine.DownloadRange{Start: o.blocks.start, End: o.blocks.end, Linear: true})
	}
	if o.sparse && !o.live && !f.Writable() {
		// What the length is, if the first peer knows of a larger one. Before there is a peer nobody could.
		r.begun = f.Demand().Attach(func(demand.Item) bool { return true })
		f.Demand().Add(demand.Item{Kind: demand.Update, Index: f.Length(), HashOnly: true, IfAvailable: true})
	}
	return r
}

// refuseOthers replicates nothing but what was added.
func refuseOthers(*replicate.Session, tree.DiscoveryKey) (keep bool) { return false }

// onSession puts the feed on a session before anything is received.
func (r *replication) onSession(s *replicate.Session) {
	p, err := s.Add(r.feed, nil)
	if err != nil {
		return // the session has ended and says why
	}
	if r.begun != nil {
		r.begun.Detach()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[s] = &visit{peer: p}
}

// farewell is how long a live session without a feed stays, so that both sides learn why.
const farewell = time.Second

// onRemove notes why a peer went away. Nothing else would end a live session that has no feed.
func (r *replication) onRemove(p *replicate.Peer, reason error) {
	r.mu.Lock()
	if v := r.peers[p.Session()]; v != nil {
		v.reason = reason
	}
	r.mu.Unlock()
	if r.opts.live && errors.Is(reason, replicate.ErrRefused) {
		time.AfterFunc(farewell, func() { p.Session().Close(reason) })
	}
}

// serve replicates over a connection.
func (r *replication) serve(ctx context.Context, conn net.Conn, initiator bool) error {
	s := r.host.Start(ctx, conn, initiator)
	if !r.opts.live {
		stop := make(chan struct{})
		var watching sync.WaitGroup
		watching.Go(func() { r.routineWatch(s, stop) })
		defer watching.Wait()
		defer close(stop)
	}
	err := s.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.peers[s]
	delete(r.peers, s)
	switch {
	case err != nil:
		return err
	case v != nil && errors.Is(v.reason, replicate.ErrRefused):
		return v.reason
	case r.opts.live:
		return nil
	}
	return r.lacking()
}

// stall is how long a remote may lack everything that is wanted, and not ask for anything either, before that is a failure.
const stall = 5 * time.Second

// errUnanswered is the end of a replication with a remote that neither opens the feed nor refuses it, as hypercore 9 does with
// feeds that it may get later.
var errUnanswered = errors.New("the remote does not answer about this feed")

// routineWatch ends a session that comes to nothing because the remote does not have what is wanted.
func (r *replication) routineWatch(s *replicate.Session, stop <-chan struct{}) {
	ticker := time.NewTicker(stall / 20)
	defer ticker.Stop()
	since, before := time.Now(), r.host.Stats()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		now := r.host.Stats()
		reason := r.stalled(s)
		if reason == nil || now != before {
			since, before = time.Now(), now
		}
		if time.Since(since) >= stall {
			s.Close(reason)
			return
		}
	}
}

// stalled returns an error when neither side has anything to do although not everything is here.
func (r *replication) stalled(s *replicate.Session) error {
	r.mu.Lock()
	v := r.peers[s]
	r.mu.Unlock()
	if v == nil {
		return nil
	}
	select {
	case <-s.Ready():
	default:
		return nil
	}
	switch st := v.peer.State(); {
	case !st.Open:
		return errUnanswered
	case st.Requests+st.Uploads > 0 || st.RemoteUploading && !st.Answered:
		return nil
	}
	return r.lacking()
}

// errLacking is the end of a replication that did not bring what was wanted.
var errLacking = errors.New("the remote does not have all blocks")

// lacking returns an error when not everything that is wanted is here.
func (r *replication) lacking() error {
	first, end := uint64(0), r.feed.Length()
	switch {
	case r.opts.ranged:
		first, end = r.opts.blocks.start, r.opts.blocks.end
	case r.opts.sparse || r.feed.Writable():
		return nil
	}
	n := end - first - r.present(first, end)
	if n == 0 {
		return nil
	}
	missing, err := r.feed.NextMissing(first)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s of %s still missing, the first is %d", errLacking, number(n), plural(end-first, "block"), missing)
}

// present counts the blocks that are here. (End 0 means the length to the feed, and ranges may reach beyond that.)
func (r *replication) present(start, end uint64) uint64 {
	if end = min(end, r.feed.Length()); start >= end {
		return 0
	}
	return r.feed.Downloaded(start, end)
}

// text is the line that people see.
func (r *replication) text() string {
	st, length := r.host.Stats(), r.feed.Length()
	blocks := st.DownloadedBlocks + st.UploadedBlocks
	return fmt.Sprintf("%s of %s here, %s received, %s sent, %s/s, %s",
		number(r.present(0, length)), plural(length, "block"), size(st.DownloadedBytes), size(st.UploadedBytes),
		plural(r.meter.rate(time.Now(), blocks), "block"), plural(uint64(len(r.host.Peers(r.feed.DiscoveryKey()))), "peer"))
}

func (r *replication) answer() replicated {
	st, length := r.host.Stats(), r.feed.Length()
	return replicated{
		Key: r.feed.Key(), Length: length, Downloaded: r.present(0, length),
		ReceivedBlocks: st.DownloadedBlocks, ReceivedBytes: st.DownloadedBytes, SentBlocks: st.UploadedBlocks, SentBytes: st.UploadedBytes,
	}
}

// replicated is what a replication has done.
type replicated struct {
	Key            tree.PublicKey `json:"key"`
	Length         uint64         `json:"length"`
	Downloaded     uint64         `json:"downloaded"` // blocks that are here
	ReceivedBlocks uint64         `json:"receivedBlocks"`
	ReceivedBytes  uint64         `json:"receivedBytes"`
	SentBlocks     uint64         `json:"sentBlocks"`
	SentBytes      uint64         `json:"sentBytes"`
}

func (r replicated) text(w io.Writer) {
	fmt.Fprintf(w, "received %s, %s, and sent %s, %s: %s of %s are here\n",
		plural(r.ReceivedBlocks, "block"), size(r.ReceivedBytes), plural(r.SentBlocks, "block"), size(r.SentBytes),
		number(r.Downloaded), plural(r.Length, "block"))
}

// meter measures how fast a count grows.
type meter struct {
	at    time.Time
	count uint64
	last  uint64
}

// rate returns the growth a second, over the last second or more.
func (m *meter) rate(now time.Time, count uint64) uint64 {
	if m.at.IsZero() {
		m.at, m.count = now, count
	}
	if d := now.Sub(m.at); d >= time.Second {
		m.last = uint64(float64(count-m.count) / d.Seconds())
		m.at, m.count = now, count
	}
	return m.last
}

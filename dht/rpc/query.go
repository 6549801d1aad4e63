package rpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"time"

	"github.com/cairn-feeds/cairn/codec/compact"
)

// QueryOptions change a query. The zero value, like nil, walks from the nodes of the
// routing table and commits nothing.
type QueryOptions struct {
	// Nodes are where to begin. If there are fewer than 20, nodes of the routing table
	// are added, then the bootstrap nodes.
	Nodes []netip.AddrPort

	// OnlyNodes asks nobody but Nodes.
	OnlyNodes bool

	// Concurrency is how many nodes are asked at a time. Zero means
	// Options.Concurrency.
	Concurrency int

	// Retries is how often a request is sent again. Zero means 5, negative means
	// never.
	Retries int

	// Force sends requests once, whatever the congestion.
	Force bool

	// Commit, if set, is called with each of the closest replies when the walk is over,
	// all at the same time.
	Commit Commit
}

// Commit does something with one of the nodes that a query found to be closest to
// its target. Its error means that this did not work with this node. If the error is
// a [*CodeError] for InvalidToken, because the token grew too old during a long walk,
// Commit is called once more with a Reply that has the new token.
type Commit func(ctx context.Context, q *Query, r *Reply) error

// CommitSame is the Commit that sends the query's command and value again, with the
// token that the node gave. But for InvalidToken, whatever it replies counts as done,
// even an error code.
func CommitSame(ctx context.Context, q *Query, r *Reply) error {
	if r.Token == nil {
		return &RequestError{To: r.From, Err: ErrNoToken}
	}
	done, err := q.node.Request(ctx, r.From, Message{
		Command: q.packet.command, Target: &q.target, Token: r.Token, Value: q.packet.value,
	}, nil)
	if err == nil && done.Code == InvalidToken {
		err = done.Err()
	}
	return err
}

// Query is a walk towards a target that asks every node on the way the same. It is
// not safe for concurrent use.
type Query struct {
	node       *Node
	target     ID
	packet     requestPacket
	opts       QueryOptions
	background bool // yield to other requests
	used       bool
	walk       *walk

	// What came of requests, written while the node is locked and read by Replies.
	inbox struct {
		sync.Mutex
		news []visitNews
	}
	wake chan struct{} // there are news
}

// visitCall is the caller of the request to one node.
type visitCall struct {
	query *Query
	visit *visit
	call  *call
}

// visitNews is something that happened to a visit. Without reply and error, it is
// late.
type visitNews struct {
	*visitCall
	reply *Reply
	err   error
}

func (v *visitCall) late(*call) { v.query.post(visitNews{visitCall: v}) }
func (v *visitCall) settled(_ *call, r *Reply, err error) {
	v.query.post(visitNews{v, r, err})
}

func (q *Query) post(n visitNews) {
	q.inbox.Lock()
	q.inbox.news = append(q.inbox.news, n)
	q.inbox.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Query makes a query that asks nodes for an application's command, which must be at
// most compact.MaxUint. Nothing happens before Replies or Finish. The value must not
// be changed until then.
func (n *Node) Query(target ID, command uint64, value []byte, o *QueryOptions) *Query {
	return n.newQuery(target, requestPacket{command: command, value: value}, o)
}

// FindNode makes a query that asks nodes for nothing but those that are closer to
// target.
func (n *Node) FindNode(target ID, o *QueryOptions) *Query {
	return n.newQuery(target, requestPacket{internal: true, command: commandFindNode}, o)
}

func (n *Node) newQuery(target ID, p requestPacket, o *QueryOptions) *Query {
	q := &Query{node: n, target: target, packet: p, wake: make(chan struct{}, 1)}
	if o != nil {
		q.opts = *o
	}
	if q.opts.Concurrency <= 0 {
		q.opts.Concurrency = n.opts.Concurrency
	}
	switch {
	case q.opts.Retries < 0 || q.opts.Force:
		q.opts.Retries = 0
	case q.opts.Retries == 0:
		q.opts.Retries = queryRetries
	}
	q.packet.target = q.target[:]
	q.walk = newWalk(target, q.opts.Concurrency)
	q.walk.onlyGiven = q.opts.OnlyNodes
	return q
}

// backgroundQuery finds nodes close to target without standing in the way of other
// requests.
func (n *Node) backgroundQuery(target ID) *Query {
	q := n.FindNode(target, nil)
	q.background = true
	return q
}

// Target returns what the query walks towards.
func (q *Query) Target() ID { return q.target }

// ClosestReplies returns the replies of the up to 20 nodes closest to the target
// that have answered so far without an error and have proved their ids; closest
// first.
func (q *Query) ClosestReplies() []*Reply { return append([]*Reply(nil), q.walk.closest...) }

// ClosestNodes returns the addresses of those nodes: a start for another query to
// the same target.
func (q *Query) ClosestNodes() []netip.AddrPort {
	nodes := make([]netip.AddrPort, len(q.walk.closest))
	for i, r := range q.walk.closest {
		nodes[i] = r.From
	}
	return nodes
}

// Successes returns how many nodes have answered without an error so far, and Errors
// how many have answered with one or not at all.
func (q *Query) Successes() int { return q.walk.successes }

// Errors is explained at Successes.
func (q *Query) Errors() int { return q.walk.errors }

// Finish runs the query to its end, and returns the error of Replies.
func (q *Query) Finish(ctx context.Context) error {
	for _, err := range q.Replies(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// Replies runs the query and yields the replies without an error code as they
// arrive; the walk goes on between iterations. An early end of the iteration ends
// it, and nothing is committed. A non-nil error is the last pair: the cause of ctx's
// end, ErrClosed or ErrSuspended, or that nothing could be committed, to
// nobody (ErrTooFewNodes) or to none of the closest nodes (all their errors).
//
// A query runs once.
func (q *Query) Replies(ctx context.Context) iter.Seq2[*Reply, error] {
	return func(yield func(*Reply, error) bool) {
		if q.used {
			yield(nil, errors.New("rpc: a query runs only once"))
			return
		}
		q.used = true
		if q.packet.command > compact.MaxUint {
			yield(nil, fmt.Errorf("rpc: command %d is too large", q.packet.command))
			return
		}
		more, err := q.run(ctx, func(r *Reply) bool { return yield(r, nil) })
		if more && err == nil && q.opts.Commit != nil {
			err = q.commit(ctx)
		}
		if more && err != nil {
			yield(nil, fmt.Errorf("rpc: query of %v: %w", q.target, err))
		}
	}
}

// run walks. It reports whether emit still wants to hear of more.
func (q *Query) run(ctx context.Context, emit func(*Reply) bool) (more bool, err error) {
	calls := make(map[*visitCall]struct{})
	q.node.queryStarted()
	defer q.node.queryEnded(calls)

	q.walk.self = q.node.TableID()
	if err := q.begin(ctx); err != nil {
		return true, err
	}
	for {
		if err := q.visitMore(calls); err != nil {
			return true, err
		}
		if q.walk.finished() {
			if !q.walk.needsTable() {
				return true, nil
			}
			q.beginWithTable()
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return true, context.Cause(ctx)
		}
		for _, n := range q.news() {
			if n.reply != nil || n.err != nil {
				delete(calls, n.visitCall)
			}
			if !q.take(n, emit) {
				return false, nil
			}
		}
	}
}

func (q *Query) news() []visitNews {
	q.inbox.Lock()
	defer q.inbox.Unlock()
	news := q.inbox.news
	q.inbox.news = nil
	return news
}

// begin fills the start set.
func (q *Query) begin(ctx context.Context) error {
	for _, addr := range q.opts.Nodes {
		if isUsable(addr) {
			q.walk.begin(plain(addr))
		}
	}
	if q.opts.OnlyNodes || len(q.walk.pending) >= bucketSize {
		return nil
	}
	q.beginWithTable()
	if len(q.walk.pending) >= bucketSize {
		return nil
	}
	for _, addr := range q.node.bootstrapNodes(ctx) {
		q.walk.begin(addr)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// beginWithTable adds the nodes of the routing table that are closest to the target.
func (q *Query) beginWithTable() {
	q.walk.fromTable = true
	for _, addr := range q.node.Closest(q.target, bucketSize-len(q.walk.pending)) {
		q.walk.begin(addr)
	}
}

// visitMore asks as many nodes as may be asked now.
func (q *Query) visitMore(calls map[*visitCall]struct{}) error {
	n := q.node
	n.mu.Lock()
	defer n.unlock()
	now := time.Now()
	if q.background {
		q.walk.concurrency = q.opts.Concurrency
		if len(n.core.calls.byTID) > 2 {
			q.walk.concurrency = min(q.opts.Concurrency, max(2, q.opts.Concurrency/8))
		}
	}
	for {
		v := q.walk.next()
		if v == nil {
			return nil
		}
		vc := &visitCall{query: q, visit: v}
		var err error
		vc.call, err = n.core.start(now, &callSpec{
			to: v.addr, toID: v.id, packet: q.packet, retries: q.opts.Retries, force: q.opts.Force,
		}, vc)
		if err != nil {
			return err
		}
		calls[vc] = struct{}{}
	}
}

// take takes in what happened to a visit. It returns false if emit does.
func (q *Query) take(n visitNews, emit func(*Reply) bool) bool {
	w := q.walk
	switch {
	case n.reply != nil:
		w.answered(n.visit, n.reply)
		for _, addr := range n.reply.CloserNodes {
			if q.follows(addr, n.reply.From) && w.suggest(addr, n.reply.From) {
				q.node.sendDownHint(n.reply.From, addr)
			}
		}
		return n.reply.Code != OK || emit(n.reply)
	case n.err != nil:
		for _, ref := range w.failed(n.visit, errors.Is(n.err, ErrTimeout)) {
			q.node.sendDownHint(ref, n.visit.addr)
		}
	default:
		w.late(n.visit)
	}
	return true
}

// follows reports whether to believe by that addr is a node. Nobody elsewhere knows
// what there is on our own machine.
func (q *Query) follows(addr, by netip.AddrPort) bool {
	if !isUsable(addr) || addr.Addr().IsLoopback() && !by.Addr().IsLoopback() {
		return false
	}
	return q.node.opts.FilterNode == nil || q.node.opts.FilterNode(addr)
}

// commit calls Commit with all closest replies and waits for it.
func (q *Query) commit(ctx context.Context) error {
	if len(q.walk.closest) == 0 {
		return ErrTooFewNodes
	}
	var wg sync.WaitGroup
	errs := make([]error, len(q.walk.closest))
	for i, r := range q.walk.closest {
		wg.Go(func() { errs[i] = q.commitTo(ctx, r) })
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

func (q *Query) commitTo(ctx context.Context, r *Reply) error {
	err := q.opts.Commit(ctx, q, r)
	if e, ok := errors.AsType[*CodeError](err); ok && e.Code == InvalidToken && e.From == r.From && e.Token != nil {
		renewed := *r
		renewed.Token = e.Token
		err = q.opts.Commit(ctx, q, &renewed)
	}
	return err
}

func (n *Node) queryStarted() {
	n.mu.Lock()
	n.core.refreshTicks = refreshTicks
	n.core.stats.Queries++
	n.core.stats.ActiveQueries++
	n.mu.Unlock()
}

// errAbandoned ends the requests that a query no longer waits for.
var errAbandoned = errors.New("query is over")

func (n *Node) queryEnded(calls map[*visitCall]struct{}) {
	now := time.Now()
	n.mu.Lock()
	n.core.stats.ActiveQueries--
	for v := range calls {
		n.core.settle(now, v.call, nil, errAbandoned)
	}
	n.unlock()
}

// Map passes a query's replies through f, leaving out those that f has no use for.
func Map[T any](replies iter.Seq2[*Reply, error], f func(*Reply) (T, bool)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range replies {
			var v T
			ok := true
			if err == nil {
				v, ok = f(r)
			}
			if ok && !yield(v, err) {
				return
			}
		}
	}
}

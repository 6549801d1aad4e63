package rpc

// Stats counts what a node did since it was made.
type Stats struct {
	ActiveQueries int
	Queries       int // all of them, active ones too

	ActiveRequests int // sent or queued, not settled
	Requests       int // all of them, active ones too, each counted once
	Responses      int
	Timeouts       int // requests given up because nobody answered
	Retries        int // datagrams sent again

	// The node's own commands.
	Ping, PingNAT, FindNode, DownHint, DelayedPing CommandStats
}

// CommandStats counts requests with one command, and answers to them.
type CommandStats struct{ Requests, Responses int }

// command returns the counters of an internal command, or nil.
func (s *Stats) command(c uint64) *CommandStats {
	switch c {
	case commandPing:
		return &s.Ping
	case commandPingNAT:
		return &s.PingNAT
	case commandFindNode:
		return &s.FindNode
	case commandDownHint:
		return &s.DownHint
	case commandDelayedPing:
		return &s.DelayedPing
	default:
		return nil
	}
}

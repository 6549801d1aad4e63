'use strict'
// Reference peer of hyperswarm 4: topics over hyperdht 6.

const Hyperswarm = require('hyperswarm')
const createTestnet = require('hyperdht/testnet')
const { serve, event, hex, unhex, must } = require('../line')

const swarms = new Map()
const sessions = new Map() // by "swarm/topic"
const sockets = new Map()
let lastSocket = 0

const swarm = m => must(swarms, 'swarm', m.id)
const session = m => must(sessions, 'session', m.id + '/' + m.topic)
const open = m => must(sockets, 'socket', m.sock)

function track (id, conn, info) {
  const sock = ++lastSocket
  sockets.set(sock, { conn, info })
  event('connection', {
    id,
    sock,
    initiator: conn.isInitiator,
    publicKey: hex(conn.publicKey),
    remotePublicKey: hex(conn.remotePublicKey),
    handshakeHash: hex(conn.handshakeHash),
    client: info.client,
    topics: info.topics.map(hex)
  })
  conn.on('data', data => event('data', { sock, data: hex(data) }))
  conn.on('end', () => event('end', { sock }))
  conn.on('error', e => event('socket-error', { sock, error: e.message, code: e.code }))
  conn.on('close', () => { sockets.delete(sock); event('socket-close', { sock }) })
}

serve({
  // testnet starts a closed DHT of size nodes on 127.0.0.1.
  async testnet (m) {
    const net = await createTestnet(m.size || 5, { port: m.port || 0 })
    return { bootstrap: net.bootstrap }
  },
  swarm (m) {
    const s = new Hyperswarm({ bootstrap: m.bootstrap, seed: unhex(m.seed), ...m.opts })
    s.on('connection', (conn, info) => track(m.id, conn, info))
    s.on('ban', (info, err) => event('ban', { id: m.id, publicKey: hex(info.publicKey), error: err && err.message }))
    swarms.set(m.id, s)
    return { publicKey: hex(s.keyPair.publicKey) }
  },
  async listen (m) { await swarm(m).listen() },
  async join (m) {
    const { server = true, client = true, limit } = m
    const discovery = swarm(m).join(unhex(m.topic), { server, client, limit })
    sessions.set(m.id + '/' + m.topic, discovery)
    return { flushed: await discovery.flushed() }
  },
  async refresh (m) { return { refreshed: await session(m).refresh() } },
  async leave (m) { await swarm(m).leave(unhex(m.topic)) },
  async flush (m) { return { flushed: await swarm(m).flush() } },
  joinPeer (m) { swarm(m).joinPeer(unhex(m.publicKey)) },
  leavePeer (m) { swarm(m).leavePeer(unhex(m.publicKey)) },
  connections: m => ({ connections: [...swarm(m).connections].map(c => ({ remotePublicKey: hex(c.remotePublicKey), initiator: c.isInitiator })) }),
  write (m) { open(m).conn.write(unhex(m.data)) },
  end (m) { open(m).conn.end() },
  destroySocket (m) { open(m).conn.destroy() },
  ban (m) { open(m).info.ban(m.value !== false) },
  async suspend (m) { await swarm(m).suspend() },
  async resume (m) { await swarm(m).resume() },
  async destroy (m) { await swarm(m).destroy(); swarms.delete(m.id) }
})

'use strict'
// Reference peer of hyperswarm 2: topics over multicast DNS and over its own DHT, connections over TCP and uTP.

const hyperswarm = require('hyperswarm')
const dht = require('@hyperswarm/dht')
const { serve, event, hex, unhex, promised, must } = require('../line')

const swarms = new Map()
const nodes = new Map()
const sockets = new Map()
let lastSocket = 0

const swarm = m => must(swarms, 'swarm', m.id)
const open = m => must(sockets, 'socket', m.sock)

const plainPeer = p => p && {
  host: p.host,
  port: p.port,
  local: p.local,
  topic: hex(p.topic),
  referrer: p.referrer ? { host: p.referrer.host, port: p.referrer.port } : null
}

function track (id, socket, info) {
  const sock = ++lastSocket
  sockets.set(sock, { socket, info })
  event('connection', { id, sock, type: info.type, client: info.client, peer: plainPeer(info.peer), topics: info.topics.map(hex) })
  socket.on('data', data => event('data', { sock, data: hex(data) }))
  socket.on('end', () => event('end', { sock }))
  socket.on('error', e => event('socket-error', { sock, error: e.message, code: e.code }))
  socket.on('close', () => { sockets.delete(sock); event('socket-close', { sock }) })
  return sock
}

serve({
  // bootstrap starts a DHT node that the others find their way by.
  async bootstrap (m) {
    const node = dht({ bootstrap: false })
    nodes.set(m.id, node)
    await new Promise((resolve, reject) => node.once('error', reject).listen(m.port || 0, resolve))
    return { port: node.address().port }
  },
  swarm (m) {
    const s = hyperswarm(m.opts)
    s.on('listening', () => event('listening', { id: m.id, port: s.address().port }))
    s.on('connection', (socket, info) => track(m.id, socket, info))
    s.on('disconnection', (socket, info) => event('disconnection', { id: m.id, client: info.client }))
    s.on('peer', p => event('peer', { id: m.id, peer: plainPeer(p) }))
    s.on('peer-rejected', p => event('peer-rejected', { id: m.id, peer: plainPeer(p) }))
    s.on('updated', ({ key }) => event('updated', { id: m.id, topic: hex(key) }))
    s.on('error', e => event('error', { id: m.id, error: e.message }))
    swarms.set(m.id, s)
  },
  async listen (m) {
    await promised(cb => swarm(m).listen(m.port || 0, cb))
    return { port: swarm(m).address().port }
  },
  async join (m) {
    const [ok] = await promised(cb => swarm(m).join(unhex(m.topic), m.opts || {}, cb))
    return { joined: ok }
  },
  leave: m => new Promise(resolve => swarm(m).leave(unhex(m.topic), () => resolve({}))),
  status: m => ({ status: swarm(m).status(unhex(m.topic)) }),
  flush: m => new Promise(resolve => swarm(m).flush(() => resolve({}))),
  async connect (m) {
    const peer = { ...m.peer, topic: unhex(m.peer.topic) || null }
    const [socket, isTCP] = await promised(cb => swarm(m).connect(peer, cb))
    return { sock: track(m.id, socket, { type: isTCP ? 'tcp' : 'utp', client: true, peer, topics: [] }) }
  },
  connections: m => ({ count: swarm(m).connections.size }),
  write: m => promised(cb => open(m).socket.write(unhex(m.data), cb)).then(() => ({})),
  end (m) { open(m).socket.end() },
  destroySocket (m) { open(m).socket.destroy() },
  ban (m) { open(m).info.ban() },
  backoff: m => ({ backoff: open(m).info.backoff() }),
  deduplicate: m => ({ dropped: open(m).info.deduplicate(unhex(m.local), unhex(m.remote)) }),
  // closeTcp leaves only the uTP path open.
  closeTcp (m) { swarm(m).network.tcp.close() },
  destroy: m => new Promise(resolve => swarm(m).destroy(() => { swarms.delete(m.id); resolve({}) }))
})

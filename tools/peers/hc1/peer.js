'use strict'
// Reference peer of hypercore 1: static feeds. Storage is in memory.

const net = require('net')
const memdb = require('memdb')
const hypercore = require('hypercore')
const { serve, event, hex, unhex, promised, pattern, must } = require('../line')

const feeds = new Map() // by id in hex
const streams = new Map()
let core = null
let extensions = []
let lastStream = 0

const opened = m => must(feeds, 'feed', m.id)
const theCore = () => { if (!core) throw new Error('the command core comes first'); return core }

function replicate (socket) {
  const s = ++lastStream
  const stream = theCore().createPeerStream()
  streams.set(s, stream)
  stream.on('handshake', () => event('handshake', { s, remoteId: hex(stream.remoteId) }))
  for (const name of extensions) stream.on(name, data => event('extension', { s, name, data: hex(data) }))
  stream.on('error', e => event('stream-error', { s, error: e.message }))
  stream.on('close', () => { streams.delete(s); event('stream-close', { s }) })
  socket.on('error', () => stream.destroy())
  socket.pipe(stream).pipe(socket)
  return s
}

serve({
  core (m) {
    core = hypercore(memdb(), m.id ? { id: unhex(m.id) } : {})
    extensions = m.extensions || []
    for (const name of extensions) core.use(name)
    core.on('interested', id => event('interested', { id: hex(id) }))
    core.on('uninterested', id => event('uninterested', { id: hex(id) }))
    return { id: hex(core.id) }
  },
  // create appends blocks given in hex, or count blocks of size bytes: block i is pattern(i, size).
  async create (m) {
    const blocks = m.blocks ? m.blocks.map(unhex) : Array.from({ length: m.count }, (_, i) => pattern(i, m.size))
    const f = theCore().add()
    await promised(cb => f.append(blocks, cb))
    await promised(cb => f.finalize(cb))
    feeds.set(hex(f.id), f)
    return { id: hex(f.id), blocks: f.blocks }
  },
  want (m) {
    const f = theCore().get(m.id)
    feeds.set(m.id, f)
    if (!m.quiet) f.on('put', block => event('put', { id: m.id, block }))
  },
  async get (m) {
    const [value] = await promised(cb => opened(m).get(m.block, cb))
    return { value: hex(value), blocks: opened(m).blocks }
  },
  async ready (m) { await promised(cb => opened(m).ready(cb)); return { blocks: opened(m).blocks } },
  has: m => ({ has: opened(m).has(m.block) }),
  async list () {
    const ids = []
    await new Promise((resolve, reject) => theCore().list().on('data', id => ids.push(id)).on('error', reject).on('end', resolve))
    return { ids }
  },
  async close (m) { await promised(cb => opened(m).close(cb)); feeds.delete(m.id) },
  async listen () {
    const server = net.createServer(socket => event('connected', { s: replicate(socket) }))
    await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
    return { port: server.address().port }
  },
  async connect (m) {
    const socket = net.connect(m.port, '127.0.0.1')
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return { s: replicate(socket) }
  },
  supports: m => ({ supports: must(streams, 'stream', m.s).remoteSupports(m.name) }),
  send: m => ({ sent: must(streams, 'stream', m.s).send(m.name, unhex(m.data)) }),
  endStream (m) { must(streams, 'stream', m.s).destroy() }
})

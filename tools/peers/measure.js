'use strict'
// What the benchmarks in these directories share: arguments, a place for files, the clock, the object they print.
// Figures have the names that "cairn bench" gives to its own.

const fs = require('fs')
const os = require('os')
const path = require('path')

// parse reads "name --count 10 --size 20" with defaults.
function parse (defaults) {
  const [name, ...rest] = process.argv.slice(2)
  const options = { ...defaults }
  for (let i = 0; i < rest.length; i += 2) {
    const key = rest[i].replace(/^--/, '')
    const value = Number(rest[i + 1])
    if (!Object.hasOwn(defaults, key) || !Number.isInteger(value) || value < 1) throw new Error('bad argument ' + rest[i] + ' ' + rest[i + 1])
    options[key] = value
  }
  return { name, options }
}

// timed returns the seconds that an async function takes.
async function timed (f) {
  const begin = process.hrtime.bigint()
  await f()
  return Number(process.hrtime.bigint() - begin) / 1e9
}

// usage is what the process holds now.
const usage = () => ({
  rss_mb: process.memoryUsage().rss / 1e6,
  descriptors: fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : undefined
})

// pool runs f(0) to f(count - 1), width of them at a time.
async function pool (count, width, f) {
  let next = 0
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await f(next++)
  }))
}

// bench runs the benchmark that the command line names and prints its figures. Each gets its options and a directory that
// is removed afterwards.
async function bench (benchmarks, defaults) {
  const { name, options } = parse(defaults)
  if (!Object.hasOwn(benchmarks, name || '')) throw new Error('usage: bench.js ' + Object.keys(benchmarks).join('|') + ' [--' + Object.keys(defaults).join(' N] [--') + ' N]')
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cairn-bench-'))
  process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }))
  const figures = await benchmarks[name](options, dir)
  process.stdout.write(JSON.stringify({ bench: name, ...options, ...figures }) + '\n', () => process.exit(0))
}

// run reports a failure on stderr, with status 1.
const run = (benchmarks, defaults) => bench(benchmarks, defaults).catch(e => {
  console.error(e.message)
  process.exitCode = 1
  setImmediate(() => process.exit(1))
})

module.exports = { run, timed, usage, pool }

// A gRPC service in Node that answers with the caller it sees.
//
//   node examples/node/grpc.mjs --listen 127.0.0.1:9092 --trust cidr:127.0.0.0/8
//
// Some fields never get here: Node drops a value with a space at either end, and
// grpc-js one that is not printable ASCII. A plain field that is written so is absent
// here, where a service in Go or over HTTP refuses it. So --trust cidr: is for gateways
// that write none of these, as this module's does. For others there is --trust txn:,
// where one field says everything.

import { fileURLToPath } from 'node:url'
import grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { flags } from './flags.mjs'
import { Unavailable } from './identity.mjs'

const { host, port, identify, failed } = flags('grpc.mjs', 'A gRPC service that answers with the caller it sees.', '127.0.0.1:9092')

const proto = fileURLToPath(new URL('../internal/examplespb/whoami.proto', import.meta.url))
const { WhoAmI } = grpc.loadPackageDefinition(loadSync(proto, { keepCase: true })).authctx.examples.v1

const unauthenticated = { code: grpc.status.UNAUTHENTICATED, details: 'Authentication is required.' }
const internal = { code: grpc.status.INTERNAL, details: 'Something went wrong.' }
const unavailable = { code: grpc.status.UNAVAILABLE, details: 'The credentials cannot be checked at the moment.' }

// The caller of a call and the end of that caller's time, or an error with the
// right status.
async function known(call) {
  const fields = {}
  // Node makes one value of a field that occurs twice, with ", " in between. Nothing
  // tells that from a list with such a space, which is refused for that. The parts
  // keep the comma, so that an empty one is seen.
  for (const name of Object.keys(call.metadata.getMap())) {
    fields[name] = call.metadata.get(name).flatMap((value) => String(value).split(/(?<=, )/))
  }
  const peer = call.getPeer().replace(/:\d+$/, '')
  try {
    const answer = await identify(fields, peer)
    if (!answer) throw new Error('nobody is named')
    // A caller without an end may have had one that was dropped.
    if (answer.end === Infinity) throw new Error('a caller without x-user-expires')
    return answer
  } catch (error) {
    console.error(error.message)
    throw error instanceof Unavailable ? unavailable : unauthenticated
  }
}

const callerOf = async (call) => (await known(call)).caller

// What a client is told. What is no status is an error that nobody expected, which
// is for the log and ends the call and not the program.
function statusOf(error) {
  if (!(error instanceof Error)) return error
  console.error(error)
  return internal
}

// Makes an asynchronous function a unary handler.
const unary = (handle) => (call, callback) => {
  handle(call).then((answer) => callback(null, answer), (error) => callback(statusOf(error)))
}

// Ends a stream when its caller's time is over.
function endWith(call, end) {
  const longest = 2 ** 31 - 1 // milliseconds that a timer can wait
  const left = end * 1000 - Date.now()
  if (left <= 0) return call.emit('error', unauthenticated)
  const timer = setTimeout(() => endWith(call, end), Math.min(left, longest))
  for (const over of ['close', 'cancelled']) call.once(over, () => clearTimeout(timer))
}

const server = new grpc.Server()
server.addService(WhoAmI.service, {
  Get: unary(callerOf),
  Admin: unary(async (call) => {
    const caller = await callerOf(call)
    if (!caller.roles.includes('admin')) throw { code: grpc.status.PERMISSION_DENIED, details: 'The caller may not do this.' }
    return caller
  }),
  Chat: async (call) => {
    try {
      endWith(call, (await known(call)).end)
      call.pipe(call) // each message goes back as it came
    } catch (error) {
      call.emit('error', statusOf(error)) // destroy would send no status
    }
  },
})

server.bindAsync(`${host}:${port}`, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) return failed(error)
  console.log(`listening on ${host}:${port}`)
})
process.once('SIGTERM', () => {
  server.tryShutdown(() => {})
  setTimeout(() => process.exit(), 3000).unref() // streams, and clients without a call, may go on for ever
})

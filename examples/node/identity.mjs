// How a service in Node knows its caller: from the plain identity fields of a
// gateway that it trusts by address, or from a Transaction Token that the
// gateway signed. Both return the caller and the second at which the caller's
// time is over, or null when nobody is named. They throw a Malformed when what is
// there could be read in more than one way, an Unavailable when nobody can tell
// whether it is good, and any other error when it is bad.

import { BlockList, isIP, isIPv6 } from 'node:net'
import { createRemoteJWKSet, jwtVerify } from 'jose'

export class Malformed extends Error {}
export class Unavailable extends Error {}

// The plain identity fields that mean something, without their prefix, and how each
// is read. Others of the prefix mean nothing.
const grammar = {
  id: text, issuer: text, kind, name: text, email: text, tenant: text, 'client-id': text, session: text,
  'token-id': text, acr: text, amr: list, roles: list, permissions: list, scopes: list, groups: list,
  'groups-incomplete': yes, 'auth-time': seconds, issued: seconds, expires: seconds, 'as-of': seconds,
  actor: pairs(' '), extra: pairs('='),
}

const lastSecond = 253402300799 // of the year 9999

// Space around a value belongs to the transport.
const trimmed = (s) => s.replace(/^[ \t]+|[ \t]+$/g, '')

// The values of a field; an empty one is none.
const valuesOf = (fields, name) => (fields[name] ?? []).filter((value) => value !== '')

// A caller who is signed for, in a Transaction Token or, in messages alone, in a
// token for deferred work.
const anySigned = (fields) => ['txn-token', 'x-user-deferred'].some((name) => valuesOf(fields, name).length > 0)

const anyPlain = (fields) => Object.keys(grammar).some((name) => valuesOf(fields, 'x-user-' + name).length > 0)

// Reads --trust: "cidr:127.0.0.0/8" or "txn:JWKS-URL". The function returned
// takes the request's fields, a map from lower-case names to lists of values,
// and the address of the peer. A trust domain that was given is for tokens.
export function trust(flag, trustDomain) {
  const [, how, arg] = /^(cidr|txn):(.+)$/.exec(flag ?? '') ?? []
  if (how === 'txn') return transactionTokens(arg, trustDomain ?? 'authctx.local')
  if (how === 'cidr' && trustDomain !== undefined) throw new Error('--trust-domain needs --trust txn:JWKS-URL')
  if (how === 'cidr') return plainFields(arg)
  throw new Error('--trust is required: cidr:ADDRESS/BITS or txn:JWKS-URL')
}

function plainFields(prefix) {
  const [, address, bits] = /^(.+)\/([1-9][0-9]*)$/.exec(prefix) ?? [] // never all addresses
  const version = address?.includes('%') ? 0 : isIP(address ?? '') // of zones a list knows nothing
  if (!version || bits > { 4: 32, 6: 128 }[version] || isMapped(address)) throw new Error(`--trust cidr:${prefix}: want ADDRESS/BITS, as 127.0.0.0/8`)
  const trusted = new BlockList() // a list of addresses, whatever its name says
  trusted.addSubnet(address, Number(bits), `ipv${version}`)
  return async (fields, peer) => {
    peer = peer.replace(/^::ffff:/, '')
    const family = isIPv6(peer) ? 6 : 4
    // A list of IPv6 addresses holds those of IPv4 too: ::/64 has all of them.
    if (family !== version || !trusted.check(peer, `ipv${family}`)) return null
    if (!anyPlain(fields)) return null
    if (anySigned(fields)) throw new Malformed('identity fields beside a signed caller')
    const read = readPlain(fields)
    if (!read.id || !read.issuer) throw new Malformed('half an identity')
    return lasting(read.expires, {
      issuer: read.issuer,
      subject: read.id,
      kind: read.kind ?? 'user',
      name: read.name ?? '',
      email: read.email ?? '',
      tenant: read.tenant ?? '',
      client_id: read['client-id'] ?? '',
      roles: read.roles ?? [],
      permissions: read.permissions ?? [],
      scopes: read.scopes ?? [],
      groups: read.groups ?? [],
      provenance: 'asserted',
    })
  }
}

// Whether a prefix begins at an IPv4 address that is written as IPv6, as
// ::ffff:10.0.0.0/104 does.
function isMapped(address) {
  const mapped = new BlockList()
  mapped.addSubnet('::ffff:0:0', 96, 'ipv6')
  return isIPv6(address) && mapped.check(address, 'ipv6')
}

// Reads every plain field, also those that nothing here uses: a gateway that wrote
// one badly may have written the others badly too.
function readPlain(fields) {
  const read = {}
  for (const [name, parse] of Object.entries(grammar)) {
    const values = valuesOf(fields, 'x-user-' + name)
    if (values.length === 0) continue
    if (values.length > 1) throw new Malformed(`x-user-${name} occurs twice`)
    read[name] = parse(values[0])
    if (read[name] === undefined) throw new Malformed(`x-user-${name} is not in its grammar`)
  }
  return read
}

// Each of these returns undefined for what is not in its grammar.

// Every byte that could be mistaken for something else comes percent-encoded.
function text(s) {
  s = trimmed(s)
  if (!/^[ -+\--~]*$/.test(s)) return undefined // a comma, or what is no printable ASCII
  try {
    return decodeURIComponent(s)
  } catch {
    return undefined
  }
}

// No element is empty.
function list(s) {
  const elements = s.split(',').map(text)
  return elements.every((element) => element) ? elements : undefined
}

function pairs(separator) {
  return (s) => {
    const elements = s.split(',').flatMap((pair) => {
      const [left, ...right] = trimmed(pair).split(separator)
      return [text(left), text(right.join(separator))]
    })
    return elements.every((element) => element) ? elements : undefined
  }
}

// Unix seconds are digits only, up to the year 9999.
function seconds(s) {
  return /^[0-9]+$/.test(s) && Number(s) <= lastSecond ? Number(s) : undefined
}

function kind(s) {
  return s === 'user' || s === 'service' ? s : undefined
}

function yes(s) {
  return s === 'true' || undefined
}

// What the claims of a Transaction Token have to be. A good signature does not say
// that: a text in place of a list of roles includes the names of many.
const isText = (v) => typeof v === 'string'
const isWord = (v) => isText(v) && v !== ''
const isList = (v) => Array.isArray(v) && v.every(isWord)
const isFlag = (v) => typeof v === 'boolean'
const isDate = (v) => Number.isFinite(v) && v >= 0 && v <= lastSecond
const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v)
const isActor = (v) => isObject(v) && isWord(v.iss) && isWord(v.sub) && (v.act === undefined || isActor(v.act))
const isExtra = (v) => isObject(v) && Object.entries(v).every(([key, values]) => key !== '' && isList(values))

const ofToken = {
  sub: isWord, txn: isWord, req_wl: isWord, scope: isText, iat: isDate, exp: isDate,
  cnf: () => false, // a bound token counts only with a proof, which nobody asks for here
  act: isActor, rctx: isObject, tctx: isObject,
}
const ofDetails = {
  src_iss: isText, src_sub: isText, src_jti: isText, src_iat: isDate, src_exp: isDate, as_of: isDate,
  kind, name: isText, email: isText, tenant: isText, client_id: isText, sid: isText, acr: isText, amr: isList,
  auth_time: isDate, roles: isList, entitlements: isList, groups: isList, groups_incomplete: isFlag, extra: isExtra,
}

// Throws unless each of the claims that is there fits.
function check(claims, types) {
  for (const [name, fits] of Object.entries(types)) {
    if (claims[name] !== undefined && !fits(claims[name])) throw new Error(`${name} is not what it has to be`)
  }
}

// A caller whose time is not over; without an end it never is.
function lasting(end = Infinity, caller) {
  if (!(end > Date.now() / 1000)) throw new Error('the caller has expired')
  return { caller, end }
}

// The keys at a URL. What jose reports of a token has these codes; any other error
// is that the keys could not be loaded, which says nothing about the token.
function keysAt(jwksURL) {
  const url = URL.canParse(jwksURL) ? new URL(jwksURL) : {}
  const onThisMachine = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && onThisMachine)) {
    throw new Error('--trust txn: want an https URL; http is for this machine') // it may hold a secret
  }
  if (url.username || url.password) throw new Error('--trust txn: the URL holds a user name')
  if (url.port === '0') throw new Error('--trust txn: the URL has a port that cannot be')
  const remote = createRemoteJWKSet(url, { cooldownDuration: 1000 })
  const ofTheToken = ['ERR_JOSE_NOT_SUPPORTED', 'ERR_JWKS_NO_MATCHING_KEY', 'ERR_JWKS_MULTIPLE_MATCHING_KEYS']
  return async (header, token) => {
    // jose takes the only key there is for a token that names none.
    if (typeof header.kid !== 'string') throw new Error('the token names no key')
    try {
      return await remote(header, token)
    } catch (error) {
      if (ofTheToken.includes(error.code)) throw error
      throw new Unavailable(`keys could not be loaded: ${error.cause?.code ?? error.message}`)
    }
  }
}

const leeway = 30 // seconds that clocks may be apart
const longest = 10 * 60 // seconds that a token may have been minted for

function transactionTokens(jwksURL, trustDomain) {
  if (!/^[a-z0-9._-]+$/.test(trustDomain)) {
    throw new Error(`--trust-domain ${trustDomain}: want a name in lower case and without a scheme, as prod.example.com`)
  }
  const keys = keysAt(jwksURL)
  return async (fields) => {
    const tokens = valuesOf(fields, 'txn-token')
    if (tokens.length === 0) return null
    if (tokens.length > 1 || tokens[0].includes(',')) throw new Malformed('two Transaction Tokens')
    if (anyPlain(fields) || valuesOf(fields, 'x-user-deferred').length > 0) throw new Malformed('a Transaction Token beside another caller')
    const { payload } = await jwtVerify(tokens[0], keys, {
      typ: 'txntoken+jwt',
      issuer: trustDomain,
      audience: trustDomain,
      algorithms: ['EdDSA', 'ES256', 'RS256'],
      requiredClaims: ['iat', 'exp', 'txn', 'sub', 'scope', 'req_wl'],
      maxTokenAge: longest,
      clockTolerance: leeway,
    })
    check(payload, ofToken)
    if (payload.exp - payload.iat > longest) throw new Error('the token was minted for too long')
    const details = payload.tctx ?? {}
    check(details, ofDetails)
    return lasting(details.src_exp ?? payload.exp + leeway, {
      issuer: details.src_iss || payload.iss,
      subject: details.src_sub || payload.sub,
      kind: details.kind ?? 'user',
      name: details.name ?? '',
      email: details.email ?? '',
      tenant: details.tenant ?? '',
      client_id: details.client_id ?? '',
      roles: details.roles ?? [],
      permissions: details.entitlements ?? [],
      scopes: payload.scope.split(' ').filter((s) => s !== ''),
      groups: details.groups ?? [],
      provenance: 'signed',
    })
  }
}

// An OpenID provider to try the gateway with: oidc-provider, which is certified,
// with the clients and resources of settings.mjs. It accepts any user name.
//
//   node provider.mjs [--listen 127.0.0.1:9000] [--tls PEM --ca PEM] [--client PEM]
//
// A line on standard input names its signing keys, the one to sign with first; a
// name stands for the same keys as long as the process runs. It ends with its
// standard input, so that it outlives nobody who started it.
import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';
import { settings } from './settings.mjs';

const help = `An OpenID provider that accepts any user name and password.

  node examples/openid/provider.mjs --listen 127.0.0.1:9000

Flags:
  --listen HOST:PORT  serve there; port 0 takes a free one (default 127.0.0.1:9000)
  --tls PEM           serve https with this file: certificate and key
  --ca PEM            with --tls: who vouches for clients with certificates
  --client PEM        with --tls: the certificate of the client that nobody vouches for
  -h, --help          print this

It ends with its standard input, on which a line names its signing keys.`;

function readFlags() {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string', default: '127.0.0.1:9000' },
      tls: { type: 'string' },
      ca: { type: 'string' },
      client: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [, host, port] = /^(.+):(\d+)$/.exec(values.listen) ?? [];
  if (!(port <= 65535)) throw new Error(`--listen ${values.listen}: want HOST:PORT, with a port up to 65535`);
  for (const name of ['tls', 'ca', 'client']) {
    if (values[name] === undefined) continue;
    if (values.tls === undefined) throw new Error(`--${name} needs --tls`);
    values[name] = readPEM(name, values[name]);
  }
  return { ...values, host, port: Number(port) };
}

// attempt returns what f does. What OpenSSL says of a failure helps nobody.
function attempt(f, failure) {
  try {
    return f();
  } catch {
    throw new Error(failure);
  }
}

// readPEM reads the file of a flag, which has a certificate in it.
function readPEM(name, file) {
  const pem = attempt(() => readFileSync(file), `--${name} ${file}: the file cannot be read`);
  attempt(() => new X509Certificate(pem), `--${name} ${file}: want a certificate in PEM`);
  return pem;
}

// newServer returns a server that leaves it to the provider to say who needs a
// certificate that somebody vouches for.
function newServer({ tls, ca }) {
  if (!tls) return http.createServer();
  const options = { cert: tls, key: tls, ca, requestCert: true, rejectUnauthorized: false };
  return attempt(() => https.createServer(options), '--tls: want a certificate and its key in one file');
}

let flags, server;
try {
  flags = readFlags();
  server = newServer(flags);
} catch (error) {
  console.error(`provider.mjs: ${error.message}\nprovider.mjs --help explains the flags`);
  process.exit(2);
}
if (flags.help) {
  console.log(help);
  process.exit(0);
}

const secure = flags.tls !== undefined;

const made = new Map();
function keysNamed(name) {
  if (!made.has(name)) {
    const pairs = [['rsa', { modulusLength: 2048 }], ['ec', { namedCurve: 'P-256' }], ['ed25519']];
    made.set(name, pairs.map(([kind, options]) => ({
      ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
      kid: `${name}-${kind}`,
      use: 'sig',
    })));
  }
  return made.get(name);
}

let answer;
server.on('request', (req, res) => answer(req, res));

// sign makes the provider anew with other keys; what it has issued is kept
// outside of it.
function sign(issuer, names) {
  const provider = new Provider(issuer, settings({ keys: names.flatMap(keysNamed), client: flags.client, secure }));
  for (const event of ['server_error', 'grant.error', 'introspection.error', 'revocation.error']) {
    provider.on(event, (_, err) => console.error(event, err.error_detail ?? err));
  }
  answer = provider.callback();
}

server.once('error', (error) => {
  console.error(`provider.mjs: --listen ${flags.listen}: ${error.message}`);
  process.exit(1);
});
server.listen(flags.port, flags.host.replace(/^\[(.*)\]$/, '$1'), () => {
  const issuer = `${secure ? 'https' : 'http'}://${flags.host}:${server.address().port}`;
  sign(issuer, ['first']);
  console.log(`listening on ${issuer}`);
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      sign(issuer, line.trim().split(/ +/));
      console.log(`signing with ${line}`);
    })
    .on('close', () => process.exit());
});

package outputs

import "time"

// row is an option as the table has it. There is no code for each of them: the table is data.
type row struct {
	name, kinds, def, usage string
	at                      func(*Spec) any // where the value goes to, by its type; or a func(draft.Value) error
	low, high               int64           // of numbers, sizes and times
	words                   string          // one of them
}

// Groups of kinds.
const (
	overWeb   = "elasticsearch opensearch loki otlp http"
	overTLS   = overWeb + " forward kafka syslog"
	searching = "elasticsearch opensearch"
	packing   = "elasticsearch opensearch otlp http forward s3" // Loki's protocol has a compression of its own, and Kafka's several
)

// commonRows are what the pipeline obeys, the same for all kinds.
func commonRows() []row {
	return []row{
		{name: "inputs", def: "all", usage: "names of the inputs that go there",
			at: func(s *Spec) any { return &s.Inputs }},
		{name: "batch-bytes", def: "1MiB; s3: 8MiB", usage: "a batch is sent when its events have as many bytes, before compression",
			at: func(s *Spec) any { return &s.o.batchBytes }, low: 4 << 10, high: 64 << 20},
		{name: "batch-events", def: "5000; s3: 100000", usage: "or as many events",
			at: func(s *Spec) any { return &s.Batch.Events }, low: 1, high: 1_000_000},
		{name: "batch-age", def: "200ms; s3: 1m", usage: "or its first event has waited so long",
			at: func(s *Spec) any { return &s.Batch.Age }, low: int64(time.Millisecond), high: int64(time.Hour)},
		{name: "in-flight", def: "2; kafka, syslog, s3, stdout, file: 1", usage: "batches that are sent at the same time; 1 where the order matters",
			at: func(s *Spec) any { return &s.InFlight }, low: 1, high: 64},
		{name: "timeout", def: "1m", usage: "limit for one attempt to send a batch",
			at: func(s *Spec) any { return &s.Timeout }, low: int64(100 * time.Millisecond), high: int64(time.Hour)},
		{name: "backoff-min", def: "500ms", usage: "pause behind the first attempt that failed; it doubles with each",
			at: func(s *Spec) any { return &s.Backoff.Min }, low: int64(time.Millisecond), high: int64(time.Hour)},
		{name: "backoff-max", def: "30s", usage: "longest pause between two attempts",
			at: func(s *Spec) any { return &s.Backoff.Max }, low: int64(time.Millisecond), high: int64(24 * time.Hour)},
		{name: "dead-letter", def: "", usage: "file for events that the other side will never take",
			at: func(s *Spec) any { return &s.DeadLetter }},
	}
}

func encryptionRows() []row {
	return []row{
		{name: "tls", kinds: overTLS, def: "false", usage: "encrypt, as KIND+https:// or KIND+tls:// does",
			at: func(s *Spec) any { return &s.o.address.secure }},
		{name: "ca", kinds: overTLS + " s3", def: "those of the system",
			usage: "files or folders of the authorities that may sign the certificate of the other side; followed",
			at:    func(s *Spec) any { return &s.o.ca }},
		{name: "cert", kinds: overTLS + " s3", def: "", usage: "file or folder of our certificate; followed",
			at: func(s *Spec) any { return &s.o.cert }},
		{name: "key", kinds: overTLS + " s3", def: "", usage: "file or folder of its key; not needed where it is in the folder of cert",
			at: func(s *Spec) any { return &s.o.key }},
		{name: "server-name", kinds: overTLS + " s3", def: "the host", usage: "what the certificate of the other side has to be for",
			at: func(s *Spec) any { return &s.o.serverName }},
		{name: "insecure", kinds: overTLS + " s3", def: "false", usage: "do not check the certificate; without TLS: send credentials unencrypted",
			at: func(s *Spec) any { return &s.o.insecure }},
	}
}

func credentialRows() []row {
	return []row{
		{name: "username", kinds: overWeb + " forward kafka", def: "", usage: "user; it can be in the address, too: KIND://USER@HOST",
			at: func(s *Spec) any { return &s.o.user }},
		{name: "password-file", kinds: overWeb + " forward kafka", def: "", usage: "file with the password; read again when it changes",
			at: func(s *Spec) any { return &s.o.passwordFile }},
		{name: "password-env", kinds: overWeb + " forward kafka", def: "", usage: "environment variable with the password",
			at: func(s *Spec) any { return &s.o.passwordEnv }},
		{name: "token-file", kinds: overWeb, def: "", usage: "file with a bearer token; read again when it changes",
			at: func(s *Spec) any { return &s.o.tokenFile }},
		{name: "token-env", kinds: overWeb, def: "", usage: "environment variable with a bearer token",
			at: func(s *Spec) any { return &s.o.tokenEnv }},
		{name: "api-key-file", kinds: searching, def: "", usage: "file with an API key in its encoded form; read again when it changes",
			at: func(s *Spec) any { return &s.o.apiKeyFile }},
		{name: "api-key-env", kinds: searching, def: "", usage: "environment variable with an API key",
			at: func(s *Spec) any { return &s.o.apiKeyEnv }},
	}
}

func requestRows() []row {
	return []row{
		{name: "gzip", kinds: packing, def: "false; s3: true", usage: "compress what is sent",
			at: func(s *Spec) any { return &s.o.gzip }},
		{name: "headers", kinds: overWeb + " s3", def: "", usage: "headers of every request: a mapping, or NAME:VALUE",
			at: func(s *Spec) any { return s.readHeaders }},
	}
}

func searchRows() []row {
	return []row{
		{name: "index", kinds: searching, def: "the path of the address", usage: "index or data stream: a name or a pattern such as logs-%{+yyyy.MM.dd}",
			at: func(s *Spec) any { return &s.o.index }},
		{name: "op", kinds: searching, def: "create", usage: "create, or index, which writes over what has the same id; data streams take create alone",
			at: func(s *Spec) any { return &s.o.op }, words: "create index"},
		{name: "pipeline", kinds: searching, def: "", usage: "ingest pipeline",
			at: func(s *Spec) any { return &s.o.pipeline }},
		{name: "setup", kinds: searching, def: "false", usage: "write an index template once, if there is none of its name",
			at: func(s *Spec) any { return &s.o.setup }},
		{name: "setup-name", kinds: searching, def: "sidecar-INDEX", usage: "name of the template",
			at: func(s *Spec) any { return &s.o.template }},
		{name: "setup-kind", kinds: searching, def: "stream", usage: "what the template makes: stream or index",
			at: func(s *Spec) any { return &s.o.setupKind }, words: "stream index"},
		{name: "setup-retention", kinds: searching, def: "", usage: "time after which the server deletes events of a data stream, in the template",
			at: func(s *Spec) any { return &s.o.retention }, low: int64(time.Hour), high: int64(36500 * 24 * time.Hour)},
		{name: "setup-shards", kinds: searching, def: "the server's", usage: "shards in the template",
			at: func(s *Spec) any { return &s.o.shards }, low: 1, high: 1024},
		{name: "setup-replicas", kinds: searching, def: "the server's", usage: "replicas in the template",
			at: func(s *Spec) any { return &s.o.replicas }, low: 0, high: 32},
	}
}

func streamRows() []row {
	return []row{
		{name: "labels", kinds: "loki", def: "input=%{input},filename=%{path}", usage: "labels of the stream: names and patterns",
			at: func(s *Spec) any { return &s.o.labels }},
		{name: "metadata", kinds: "loki", def: "", usage: "structured metadata of each entry: names and patterns",
			at: func(s *Spec) any { return &s.o.metadata }},
		{name: "tenant", kinds: "loki", def: "", usage: "tenant, the header X-Scope-OrgID",
			at: func(s *Spec) any { return &s.o.tenant }},
		{name: "service", kinds: "otlp", def: "", usage: "the attribute service.name of the resource",
			at: func(s *Spec) any { return &s.o.service }},
		{name: "resource", kinds: "otlp", def: "", usage: "more attributes of the resource: names and values",
			at: func(s *Spec) any { return &s.o.resource }},
		{name: "method", kinds: "http", def: "POST", usage: "POST, PUT or PATCH",
			at: func(s *Spec) any { return &s.o.method }, words: "POST PUT PATCH"},
		{name: "content-type", kinds: "http", def: "what the format is", usage: "header Content-Type",
			at: func(s *Spec) any { return &s.o.contentType }},
		{name: "array", kinds: "http", def: "false", usage: "one JSON array instead of a document in each line",
			at: func(s *Spec) any { return &s.o.array }},
	}
}

func messageRows() []row {
	return []row{
		{name: "tag", kinds: "forward", def: "%{input}", usage: "tag: a pattern",
			at: func(s *Spec) any { return &s.o.tag }},
		{name: "shared-key-file", kinds: "forward", def: "", usage: "file with the shared key of the server",
			at: func(s *Spec) any { return &s.o.sharedFile }},
		{name: "shared-key-env", kinds: "forward", def: "", usage: "environment variable with the shared key",
			at: func(s *Spec) any { return &s.o.sharedEnv }},
		{name: "topic", kinds: "kafka", def: "the path of the address", usage: "topic",
			at: func(s *Spec) any { return &s.o.topic }},
		{name: "record-key", kinds: "kafka", def: "", usage: "key of the record: a pattern; without one the file decides on the partition",
			at: func(s *Spec) any { return &s.o.recordKey }},
		{name: "compression", kinds: "kafka", def: "none", usage: "none, gzip or snappy",
			at: func(s *Spec) any { return &s.o.codec }, words: "none gzip snappy"},
		{name: "sasl", kinds: "kafka", def: "PLAIN where a user is given", usage: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
			at: func(s *Spec) any { return &s.o.sasl }, words: "PLAIN SCRAM-SHA-256 SCRAM-SHA-512"},
		{name: "facility", kinds: "syslog", def: "local0", usage: "facility: kern, user, daemon, ..., local0 to local7, or its number",
			at: func(s *Spec) any { return s.readFacility }},
		{name: "hostname", kinds: "syslog forward", def: "of this machine", usage: "host name in messages",
			at: func(s *Spec) any { return &s.o.hostname }},
		{name: "app", kinds: "syslog", def: "%{input}", usage: "APP-NAME: a pattern",
			at: func(s *Spec) any { return &s.o.app }},
		{name: "msgid", kinds: "syslog", def: "-", usage: "MSGID: a pattern",
			at: func(s *Spec) any { return &s.o.msgID }},
		{name: "sd-id", kinds: "syslog", def: "sidecar@32473", usage: "SD-ID of the structured data with id and path",
			at: func(s *Spec) any { return &s.o.sdID }},
		{name: "confirm", kinds: "syslog", def: "false", usage: "a connection for each batch, which is done when the server has read to its end",
			at: func(s *Spec) any { return &s.o.confirm }},
	}
}

func objectRows() []row {
	return []row{
		{name: "region", kinds: "s3", def: "us-east-1", usage: "region",
			at: func(s *Spec) any { return &s.o.region }},
		{name: "endpoint", kinds: "s3", def: "Amazon's of the region", usage: "http or https URL of the server; the bucket is in the path then",
			at: func(s *Spec) any { return s.readEndpoint }},
		{name: "object", kinds: "s3", def: "the path of the address, %{input}/%Y/%m/%d/%H",
			usage: "beginning of the object's name: a pattern; the id of the batch and .ndjson.gz follow",
			at:    func(s *Spec) any { return &s.o.objectKey }},
		{name: "storage-class", kinds: "s3", def: "the bucket's", usage: "storage class",
			at: func(s *Spec) any { return &s.o.class }},
		{name: "access-key-file", kinds: "s3", def: "", usage: "file with the id of the access key; read again when it changes",
			at: func(s *Spec) any { return &s.o.accessFile }},
		{name: "access-key-env", kinds: "s3", def: "", usage: "environment variable with the id of the access key",
			at: func(s *Spec) any { return &s.o.accessEnv }},
		{name: "secret-key-file", kinds: "s3", def: "", usage: "file with the secret of the access key; read again when it changes",
			at: func(s *Spec) any { return &s.o.secretFile }},
		{name: "secret-key-env", kinds: "s3", def: "", usage: "environment variable with the secret of the access key",
			at: func(s *Spec) any { return &s.o.secretEnv }},
		{name: "session-token-file", kinds: "s3", def: "", usage: "file with the token of a session",
			at: func(s *Spec) any { return &s.o.sessionFile }},
		{name: "session-token-env", kinds: "s3", def: "", usage: "environment variable with the token of a session",
			at: func(s *Spec) any { return &s.o.sessionEnv }},
	}
}

func lineRows() []row {
	return []row{
		{name: "format", kinds: "stdout file http s3 kafka loki syslog", def: "json; loki, syslog: text",
			usage: "json: the document; text: the message with control bytes escaped; raw: the bytes of the message",
			at:    func(s *Spec) any { return s.readFormat }},
		{name: "max-size", kinds: "file", def: "unlimited", usage: "bytes after which PATH becomes PATH.1 and a new file begins",
			at: func(s *Spec) any { return &s.o.maxSize }, low: 64 << 10, high: 1 << 50},
		{name: "keep", kinds: "file", def: "5", usage: "full files that stay",
			at: func(s *Spec) any { return &s.o.keep }, low: 0, high: 1000},
		{name: "no-sync", kinds: "file", def: "false", usage: "events are done when the kernel has them, not when the disk has",
			at: func(s *Spec) any { return &s.o.noSync }},
	}
}

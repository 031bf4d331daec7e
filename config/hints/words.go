// Package hints knows what people write who have used another proxy, or another format,
// and says what lb has instead. A hint is what to do, and works for a person who follows
// it to the letter.
package hints

// Word returns what to do about name, which is no key of the table: "" for the top,
// "pools.backends". v is its value. It returns "" if it does not know the word.
func Word(table, name string, v any) string {
	if table == "pools.backends" {
		table = "backends"
	}
	switch {
	case table == "backends" && isAny(name, "address", "addr", "url", "uri", "server", "target", "endpoint", "ip", "hostname", "dial"):
		return place(v, "write host and port")
	case table == "listeners" && isAny(name, "listen", "bind", "addr", "port", "host", "ip", "socket"):
		return listenPlace(v)
	case table == "" && isAny(name, "listen", "bind", "address", "addr", "entrypoints", "entryPoints"):
		return place(v, `write host = "0.0.0.0" and port = 8080, or others`)
	case table == "admin" && isAny(name, "port", "listen", "bind", "host"):
		return adminPlace(name, v)
	}
	if table == "" && isAny(name, "http", "https", "http3") { // no misspelling of http2
		return AnyWord(name)
	}
	if _, isTable := v.(map[string]any); table == "" && name == "timeout" && !isTable {
		return "write [timeouts], and below it response or another"
	}
	return inTable[table][name]
}

// AnyWord returns what to do about name in any table, or "".
func AnyWord(name string) string {
	for _, w := range words {
		if isAny(name, w.names...) {
			return w.hint
		}
	}
	return ""
}

// Table returns how to write a table. array says that there may be many of it.
func Table(name string, array bool) string {
	if array {
		return "write [[" + name + "]] on a line of its own"
	}
	return "write [" + name + "] on a line of its own"
}

// Moves reports whether name, which is no key of the table but one of another, has been
// put into the wrong one. Names that mean another thing in each table have not.
func Moves(table, name string) bool {
	if isAny(name, "host", "port") { // of the top: everything after a [table] belongs to it
		return isAny(table, "timeouts", "limits", "retry", "eject", "hash")
	}
	return !isAny(name, "path", "type", "method", "timeout", "interval", "time", "name", "key", "address", "socket", "to", "code",
		"headers", "fields", "on", "rise", "fall", "expect", "connections", "enabled", "weight", "backup")
}

// What is said more than once.
const (
	aCert     = "write [tls], and below it cert and key"
	anAddress = `write address = ":443", or another`
	names     = `write names in [tls.acme]: lb gets certificates for them by itself`
	aVersion  = `write min_version = "1.2" or "1.3" in [tls]`
	ofCiphers = "lb offers what has forward secrecy and no known weakness, and no choice" + leave
	ofBackend = "write insecure = true in [backend_tls] or [pools.tls]"
	mutual    = `write client_auth = "require" and client_ca in [tls]`
	ofPool    = "is for all backends of a pool: "
	leave     = "; leave it out"
	aRoute    = `write [[routes]] with a host or a path, and a pool`
	aBackend  = `write [[backends]] with a host and a port, once for each backend`
	overTLS   = "checks go over TLS where the backend has tls = true" + leave
	allByTime = "[timeouts] is for all backends"
	onHTTP2   = "all listeners have HTTP/2 unless [http2] has enabled = false" + leave
	ofHTTP2   = "HTTP/2 with clients is on unless [http2] has enabled = false; for backends " + aProtocol
	aProtocol = `write protocol = "h2c" at the top or in [[pools]], or "h2" for backends with TLS`
)

// inTable has words that mean something of their own in one table.
var inTable = map[string]map[string]string{
	"health": {
		"tls": overTLS, "https": overTLS, "scheme": overTLS, "ssl": overTLS,
		"port": "checks go to the backend's port" + leave, "address": "checks go to the backend's address" + leave,
		"enabled": "checks are on with this table, and off without it", "uri": "write path", "url": "write path",
		"status": `write expect, such as expect = "200-299"`, "codes": `write expect, such as expect = "200-299"`,
		"retries": "write fall", "threshold": "write rise and fall", "unhealthy": "write fall", "healthy": "write rise",
		"grpc": `write type = "grpc"`, "grpc_service": "write service", "service_name": "write service",
		"unhealthy_threshold": "write fall", "healthy_threshold": "write rise", "protocol": "write type",
		"headers": "checks send Host alone: write host", "body": "checks have no body" + leave,
	},
	"backends": {
		"name": "a backend goes by its address" + leave, "id": "a backend goes by its address" + leave,
		"path": "a backend has no path: strip_prefix of a route takes one off" + leave,
		"pool": "write the backend in [[pools.backends]], below that pool", "check": "[health] " + ofPool + "write it there",
		"health": "[health] " + ofPool + "write it there", "healthcheck": "[health] " + ofPool + "write it there",
		"timeout": allByTime, "connect_timeout": "write connect in [timeouts]",
		"maxconn": "write max_connections", "max_conns": "write max_connections", "connections": "write max_connections",
		"max_fails": "write faults in [eject]", "fail_timeout": "write time in [eject]",
		"down": "write drain = true", "disabled": "write drain = true", "enabled": "write drain = true for one that gets nothing new",
		"scheme": "write tls = true for https", "https": "write tls = true", "ssl": "write tls = true", "secure": "write tls = true",
		"verify": ofBackend, "insecure": ofBackend, "ca": "write ca in [backend_tls] or [pools.tls]", "sni": "write server_name in [backend_tls] or [pools.tls]",
		"server_name": "write it in [backend_tls] or [pools.tls]", "http2": aProtocol, "h2": aProtocol, "h2c": aProtocol, "grpc": aProtocol, "alpn": aProtocol,
		"type": aProtocol, "priority": "write backup = true for those that come last",
		"send_proxy": "lb does not send the PROXY protocol yet" + leave,
	},
	"routes": {
		"port": `a route does not depend on the port: write scheme = "https" or "http" for that of TLS or the other`,
		"tls":  `write scheme = "https"`, "https": `write scheme = "https"`, "ssl": `write scheme = "https"`, "name": "a route has no name" + leave,
		"backend": `write pool = "default", or the name of a [[pools]]`, "backends": `write them in [[pools]], and its name as pool = "..."`,
		"upstream": `write pool = "default", or the name of a [[pools]]`, "target": `write pool = "default", or the name of a [[pools]]`,
		"proxy_pass": `write pool = "default", or the name of a [[pools]]`, "service": `write pool = "default", or the name of a [[pools]]`,
		"to": `write redirect = { to = "..." }, or pool = "..."`, "code": "write redirect = { to = \"...\", code = 301 }",
		"prefix": "write path, which is a prefix", "path_prefix": "write path, which is a prefix", "url": "write path", "uri": "write path",
		"server_name": "write host", "domain": "write host", "domains": "write host, in a [[routes]] for each",
		"location": "write path", "regex": "write path, a prefix: lb has no patterns", "path_regex": "write path, a prefix: lb has no patterns",
		"priority": "the longest path wins, then the first in the file" + leave, "order": "the longest path wins, then the first in the file" + leave,
		"weight": "write it in [[backends]]: a backend with 2 gets twice as much", "rewrite": "lb takes a prefix off, and no more: write strip_prefix = true",
		"timeout": "[timeouts] is for all routes", "strategy": "write it in [[pools]], and its name as pool", "query": "a route does not depend on the query" + leave,
	},
	"pools": {
		"host": "write [[pools.backends]] below it, with host and port", "port": "write [[pools.backends]] below it, with host and port",
		"address": "write [[pools.backends]] below it, with host and port", "server": "write [[pools.backends]] below it, with host and port",
		"servers": "write [[pools.backends]] below it, with host and port", "routes": "write [[routes]] with this pool's name",
		"path": "write [[routes]] with a path, and this pool's name", "timeout": "[timeouts] is for all pools", "key": "write hash = { key = ... }",
		"weight": "write it in [[pools.backends]]",
	},
	"listeners": {
		"name": "a listener goes by its address" + leave, "ssl": "write tls = true", "https": "write tls = true", "secure": "write tls = true",
		"redirect": "write redirect_https = true", "https_redirect": "write redirect_https = true", "redirect_to_https": "write redirect_https = true",
		"cert": aCert, "key": aCert, "certificate": aCert, "http2": onHTTP2, "h2": onHTTP2, "h2c": onHTTP2, "alpn": onHTTP2, "protocols": onHTTP2,
		"protocol": "write tls = true for https, and nothing for http", "scheme": "write tls = true for https",
		"reuseport": "each loop has a socket of its own" + leave, "backlog": "lb asks for the longest queue that the system allows" + leave,
		"default_server": "routes choose by name, whatever the listener" + leave, "server_name": aRoute, "pool": aRoute, "routes": aRoute,
		"client_auth": "is for all listeners: write it in [tls]", "client_ca": "is for all listeners: write it in [tls]",
	},
	"tls": {
		"certificate": "write cert", "cert_file": "write cert", "certfile": "write cert", "chain": "write cert", "fullchain": "write cert", "pem": "write cert",
		"ssl_certificate": "write cert", "tls_cert": "write cert", "crt": "write cert", "cert_path": "write cert", "certificate_file": "write cert",
		"private_key": "write key", "key_file": "write key", "keyfile": "write key", "ssl_certificate_key": "write key", "tls_key": "write key", "key_path": "write key",
		"certificates": "write [[tls.certs]], once for each", "cert_files": "write [[tls.certs]], once for each",
		"protocols": `write min_version = "1.2" or "1.3"`, "version": `write min_version = "1.2" or "1.3"`, "versions": `write min_version = "1.2" or "1.3"`,
		"min_tls_version": `write min_version = "1.2" or "1.3"`, "max_version": "lb speaks TLS 1.3 with every client that does" + leave,
		"ca": "write client_ca", "ca_file": "write client_ca", "client_ca_file": "write client_ca", "verify": `write client_auth = "require" and client_ca`,
		"mtls": `write client_auth = "require" and client_ca`, "client_cert": `write client_auth = "require" and client_ca`,
		"names": "write it in [tls.acme]", "name": "write names in [tls.acme]", "domains": "write names in [tls.acme]", "domain": "write names in [tls.acme]",
		"hosts": "write names in [tls.acme]", "email": "write it in [tls.acme]", "auto": "write names in [tls.acme]", "letsencrypt": "write names in [tls.acme]",
		"enabled": "TLS is on with cert and key, or names in [tls.acme]" + leave, "port": `write [[listeners]] with address = ":443" and tls = true`,
		"listen": `write [[listeners]] with address = ":443" and tls = true`, "redirect": "write redirect_https = true in [[listeners]]",
		"redirect_https": "write it in [[listeners]]", "insecure": ofBackend, "skip_verify": ofBackend, "server_name": "write it in [backend_tls] or [pools.tls]",
	},
	"tls.certs": {
		"certificate": "write cert", "cert_file": "write cert", "file": "write cert", "chain": "write cert", "key_file": "write key", "private_key": "write key",
		"name": "the names are those in the certificate" + leave, "names": "the names are those in the certificate" + leave,
		"host": "the names are those in the certificate" + leave, "hosts": "the names are those in the certificate" + leave, "sni": "the names are those in the certificate" + leave,
		"default": "the first certificate is the default: write this one first" + leave,
	},
	"tls.acme": {
		"domains": "write names", "domain": "write names", "hosts": "write names", "host": "write names", "hostnames": "write names", "name": "write names",
		"ca": "write directory", "server": "write directory", "url": "write directory", "endpoint": "write directory", "directory_url": "write directory",
		"mail": "write email", "contact": "write email", "account": "write email", "cache": "write storage", "cache_dir": "write storage", "dir": "write storage",
		"path": "write storage", "folder": "write storage", "ca_file": "write directory_ca", "enabled": "it is on with names" + leave,
		"staging":   `write directory = "https://acme-staging-v02.api.letsencrypt.org/directory"`,
		"challenge": "lb answers HTTP-01 and TLS-ALPN-01" + leave, "challenges": "lb answers HTTP-01 and TLS-ALPN-01" + leave, "dns": "lb answers HTTP-01 and TLS-ALPN-01, and not DNS-01" + leave,
		"agree": "lb agrees to the terms of the server" + leave, "agreed": "lb agrees to the terms of the server" + leave, "tos": "lb agrees to the terms of the server" + leave,
	},
	"backend_tls": backendTLS,
	"pools.tls":   backendTLS,
	"admin": {
		"tls":   "the admin address speaks HTTP in the clear: let it be one that only you reach" + leave,
		"token": "lb asks for none: let the address be one that only you reach" + leave, "password": "lb asks for none: let the address be one that only you reach" + leave,
		"enabled": `write address = "" for off`, "path": "the paths are /metrics and /healthz" + leave,
	},
	"timeouts": {
		"tls": "write handshake", "tls_handshake": "write handshake", "ssl_handshake": "write handshake",
		"read": "write response and backend_body", "write": "write backend_write and client_write", "idle": "write client_idle and backend_idle",
		"keepalive": "write client_idle", "keep_alive": "write client_idle", "request": "write client_header and client_body",
		"server": "write response", "client": "write client_header, client_body and client_write", "backend": "write response",
		"shutdown": "write drain", "tunnel": "write tunnel_idle", "timeout": "write response, or another of them",
	},
	"limits": {
		"max_body_size": "write body_bytes", "body": "write body_bytes", "body_size": "write body_bytes", "headers": "write header_bytes, or fields for their number",
		"max_connections": "write connections", "maxconn": "write connections", "uri": "write target_bytes", "url": "write target_bytes",
	},
	"retry": {
		"max": "write attempts", "count": "write attempts", "tries": "write attempts", "enabled": "write attempts = 0 for none",
		"timeout": "the next backend is asked at once" + leave, "delay": "the next backend is asked at once" + leave,
		"backoff": "the next backend is asked at once" + leave, "methods": "what is sent twice must be idempotent; lb sees to that" + leave,
	},
	"eject": {
		"duration": "write time", "interval": "write time", "timeout": "write time", "threshold": "write faults", "max_fails": "write faults", "fail_timeout": "write time",
		"consecutive_errors": "write faults", "status": "write on_status", "codes": "write on_status",
	},
	"": {
		"server_name": aRoute, "mtls": mutual, "acme": "write it as [tls.acme], and below it names", "certs": "write [[tls.certs]], and below it cert and key",
		"path": aRoute, "name": "lb has no name; via is what it is called in the Via field" + leave, "type": "lb forwards HTTP alone" + leave,
		"address": `write host = "0.0.0.0" and port = 8080, or others`, "socket": "write it in [[backends]], or in [admin] for commands",
		"method":  `write strategy = "round_robin", or another`,
		"headers": "write set_request_headers or set_response_headers in [[routes]]", "connections": "write it in [limits]",
		"interval": "write it in [health]", "key": "write it in [hash]", "weight": "write it in [[backends]]",
	},
}

// backendTLS has the words of [backend_tls] and [pools.tls].
var backendTLS = map[string]string{
	"cert": "write client_cert", "key": "write client_key", "certificate": "write client_cert", "ca_file": "write ca", "cafile": "write ca", "root": "write ca", "cacert": "write ca",
	"client_ca": "write ca", "sni": "write server_name", "name": "write server_name", "host": "write server_name", "hostname": "write server_name",
	"enabled": "write tls = true in the backends" + leave, "tls": "write tls = true in the backends" + leave,
	"verify": "write insecure = true for no verification" + leave, "skip_verify": "write insecure = true", "insecure_skip_verify": "write insecure = true",
	"min_version": "lb asks backends for TLS 1.2 at least" + leave,
}

// words are those of other proxies, in any table.
var words = []struct {
	names []string
	hint  string
}{
	{[]string{"tls", "ssl", "https", "cert", "certs", "certificate", "certificates", "cert_file", "key_file", "ssl_certificate", "ssl_certificate_key",
		"tls_cert", "tls_key", "ssl_cert", "ssl_key", "certfile", "keyfile", "crt"}, aCert},
	{[]string{"acme", "letsencrypt", "lets_encrypt", "autocert", "auto_https", "automatic_https", "certbot"}, names},
	{[]string{"ciphers", "cipher_suites", "ssl_ciphers", "ciphersuites", "ssl_prefer_server_ciphers", "ecdh_curve", "ssl_ecdh_curve", "dhparam", "ssl_dhparam"}, ofCiphers},
	{[]string{"ssl_protocols", "tls_versions", "tls_version", "tls_min_version", "ssl_min_version", "min_tls_version", "ssl-min-ver"}, aVersion},
	{[]string{"sni"}, "lb chooses certificates by the names in them: write [[tls.certs]] for each"},
	{[]string{"ssl_verify_client", "ssl_client_certificate", "mtls", "client_certificate", "verify_client"}, mutual},
	{[]string{"proxy_ssl_verify", "ssl_verify", "skip_verify", "insecure_skip_verify", "tls_insecure_skip_verify", "tls_skip_verify"}, ofBackend},
	{[]string{"proxy_ssl_trusted_certificate", "tls_trusted_ca_certs"}, "write ca in [backend_tls] or [pools.tls]"},
	{[]string{"proxy_ssl_name", "proxy_ssl_server_name", "tls_server_name"}, "write server_name in [backend_tls] or [pools.tls]"},
	{[]string{"proxy_ssl_certificate", "proxy_ssl_certificate_key"}, "write client_cert and client_key in [backend_tls] or [pools.tls]"},
	{[]string{"redirect_https", "force_ssl", "force_https", "https_redirect", "ssl_redirect", "redirect_to_https"},
		`write [[listeners]] with address = ":80" and redirect_https = true, and another with address = ":443" and tls = true`},
	{[]string{"strict_transport_security", "add_hsts"}, `write hsts = "8760h" in [tls]`},
	{[]string{"ssl_session_cache", "ssl_session_tickets", "ssl_session_ticket_key", "session_tickets", "ssl_session_timeout"},
		"sessions are resumed by tickets without a word; lb makes their keys and changes them" + leave},
	{[]string{"ssl_stapling", "ocsp_stapling", "ocsp", "ssl_early_data", "early_data"}, "lb has none of it" + leave},
	{[]string{"http2", "h2", "h2c", "alpn", "enable_http2"}, ofHTTP2},
	{[]string{"grpc", "grpc_pass", "proxy_http_version", "http_version", "backend_protocol"}, aProtocol},
	{[]string{"max_concurrent_streams", "http2_max_concurrent_streams", "concurrent_streams"}, "write streams in [http2]"},
	{[]string{"http3", "h3", "quic"}, "lb speaks HTTP/1.1 and HTTP/2" + leave},
	{[]string{"upstream", "upstreams", "cluster", "clusters", "farm", "servers", "targets", "origins", "origin", "services", "service", "nodes"},
		aBackend + "; [[pools]] are more of them by name"},
	{[]string{"server"}, "write host and port at the top for where lb listens, [[backends]] for where it forwards to"},
	{[]string{"frontend", "frontends"}, "write host and port at the top; [[routes]] choose a pool"},
	{[]string{"location", "locations", "rule", "rules", "match", "router", "routers", "vhost", "virtual_host", "virtual_hosts", "server_name", "hostname", "domain", "domains", "handle"}, aRoute},
	{[]string{"proxy_pass", "reverse_proxy", "proxy", "forward", "forward_to", "proxy_to", "fastcgi_pass", "uwsgi_pass"}, aBackend},
	{[]string{"balance", "balancer", "lb_policy", "lb_method", "algorithm", "load_balancing", "policy", "ip_hash", "least_conn"},
		`write strategy = "round_robin", "least_conn", "hash" or another, at the top or in [[pools]]`},
	{[]string{"connect_timeout", "proxy_connect_timeout"}, "write connect in [timeouts]"},
	{[]string{"read_timeout", "proxy_read_timeout", "response_timeout", "server_timeout", "request_timeout"}, "write response and backend_body in [timeouts]"},
	{[]string{"write_timeout", "proxy_send_timeout"}, "write backend_write in [timeouts]"},
	{[]string{"send_timeout"}, "write client_write in [timeouts]"},
	{[]string{"client_header_timeout", "header_timeout"}, "write client_header in [timeouts]"},
	{[]string{"client_body_timeout"}, "write client_body in [timeouts]"},
	{[]string{"idle_timeout", "keepalive_timeout", "keep_alive_timeout", "client_timeout"}, "write client_idle in [timeouts]"},
	{[]string{"shutdown_timeout", "graceful_timeout", "drain_timeout", "stop_timeout"}, "write drain in [timeouts]"},
	{[]string{"keepalive", "keep_alive", "keepalive_requests", "http_keep_alive"},
		"connections are kept without a word: client_idle and backend_idle in [timeouts] say how long"},
	{[]string{"access_log", "accesslog", "access_logs", "accesslogs", "customlog", "httplog", "option_httplog"}, "write path and format in [access_log]"},
	{[]string{"access_log_format", "log_pattern"}, "write format in [access_log]"},
	{[]string{"tracing", "traces", "opentelemetry", "otel", "opentracing", "zipkin", "jaeger"}, "write endpoint in [tracing]: lb sends OTLP over HTTP"},
	{[]string{"log", "logging", "logs", "error_log", "log_file", "logfile", "syslog", "log_path"},
		"lb logs to standard error, for systemd or a shell to keep: log_level says how much, and [access_log] is for requests"},
	{[]string{"gzip", "compression", "compress", "brotli", "zstd", "encode", "deflate"}, "lb does not compress: let the backends do it" + leave},
	{[]string{"cache", "proxy_cache", "caching"}, "lb has no cache: put one before it, or after it" + leave},
	{[]string{"worker_processes", "threads", "nbthread", "nbproc", "processes", "cpus", "concurrency", "num_workers"}, "write workers = 0 for one per CPU, or a number"},
	{[]string{"worker_connections", "maxconn", "max_clients", "maxclients", "max_conns", "connection_limit"},
		"write connections in [limits] for all clients, max_connections in [[backends]] for a backend"},
	{[]string{"client_max_body_size", "max_body_size", "body_size", "max_request_size", "request_body_limit"}, `write body_bytes in [limits], such as body_bytes = "10MiB"`},
	{[]string{"rate_limit", "ratelimit", "rate", "limit_req", "limit_conn", "limit_rate", "throttle"},
		"write name and rate in [[rate_limits]]; connections and connections_per_client in [limits] bound connections"},
	{[]string{"include", "includes", "import", "imports", "extends"}, "lb reads one file: put all parts into it"},
	{[]string{"user", "group", "chroot", "uid", "gid"}, "lb stays the user that it was started as: start it as another, as packaging/lb.service does" + leave},
	{[]string{"daemon", "daemonize", "background", "master_process"}, "lb stays in the foreground: systemd, or a shell, puts it into the background" + leave},
	{[]string{"pid", "pidfile"}, "write pid_file"},
	{[]string{"stats", "prometheus", "dashboard", "status", "api", "monitoring"}, "write address in [admin]: /metrics and /healthz are there"},
	{[]string{"healthcheck", "healthchecks", "health_check", "health_checks", "healthCheck", "option_httpchk", "check", "checks"}, "write [health]"},
	{[]string{"sticky_session", "sticky_sessions", "session", "session_affinity", "affinity", "cookie", "persistence", "stick"},
		`write sticky = "lb_backend", which is the name of a cookie`},
	{[]string{"set_headers", "add_header", "add_headers", "set_header", "proxy_set_header", "request_headers", "response_headers", "header", "header_up", "header_down"},
		"write set_request_headers or set_response_headers in [[routes]]"},
	{[]string{"remove_header", "remove_headers", "remove_response_headers", "remove_request_headers", "hide_headers", "proxy_hide_header", "del_header", "server_tokens"},
		`write set_response_headers or set_request_headers in [[routes]], with "" for a field that is to go`},
	{[]string{"rewrite", "rewrites", "url_rewrite", "return"}, `write strip_prefix = true or redirect = { to = "..." } in [[routes]]: lb has no other rewriting`},
	{[]string{"auth", "basic_auth", "basicauth", "auth_basic", "jwt", "forward_auth", "oauth"}, "lb asks for no passwords: let the backends do it" + leave},
	{[]string{"allow", "deny", "acl", "acls", "whitelist", "blacklist", "allowlist", "denylist", "ip_whitelist", "waf"}, "write allow and deny in [[routes]] or [[listeners]]"},
	{[]string{"cors"}, "let the backends answer, or write set_response_headers in [[routes]]"},
	{[]string{"proxy_protocol", "accept_proxy", "send_proxy", "send-proxy"}, "write proxy_protocol = true in [[listeners]], and send_proxy at the top or in [[pools]]"},
	{[]string{"resolvers", "dns", "nameserver", "nameservers"}, `write resolver = "10.0.0.2:53" at the top or in [[pools]]`},
	{[]string{"discovery", "consul", "etcd", "docker", "kubernetes", "providers", "provider", "srv"},
		`write discover = "consul://127.0.0.1:8500/web" or another at the top or in [[pools]]`},
	{[]string{"retries", "max_retries", "proxy_next_upstream", "proxy_next_upstream_tries", "redispatch"}, "write attempts in [retry]"},
	{[]string{"circuit_breaker", "outlier_detection", "passive_health", "passive_health_check", "max_fails", "fail_timeout", "observe"}, "write faults and time in [eject]"},
	{[]string{"real_ip", "set_real_ip_from", "real_ip_header", "trust_proxy", "trusted_ips", "trusted", "forwardfor", "forwarded_headers", "forwardedHeaders"},
		`write trusted_proxies, such as trusted_proxies = ["10.0.0.0/8"]`},
	{[]string{"error_page", "error_pages", "errorfile", "errorfiles", "errors"}, "lb's own replies cannot be changed" + leave},
	{[]string{"websocket", "websockets", "upgrade", "enable_websocket"}, "WebSockets are passed on without a word" + leave},
	{[]string{"global", "defaults", "http", "events", "main", "general", "settings", "config", "core"}, "lb has no such section: write its keys at the top of the file"},
	{[]string{"stream", "tcp", "udp"}, "lb forwards HTTP alone" + leave},
	{[]string{"root", "static", "file_server", "index", "try_files", "alias"}, "lb serves no files: forward to a server that does" + leave},
	{[]string{"env", "environment", "variables", "vars"}, "lb fills in no variables: write the values, or make the file from a template" + leave},
}

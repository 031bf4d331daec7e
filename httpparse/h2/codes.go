package h2

import "strconv"

// Type is the type of a frame (RFC 9113 6).
type Type uint8

// The types of frames.
const (
	Data           Type = 0x0
	Headers        Type = 0x1
	Priority       Type = 0x2
	RSTStream      Type = 0x3
	Settings       Type = 0x4
	PushPromise    Type = 0x5
	Ping           Type = 0x6
	GoAway         Type = 0x7
	WindowUpdate   Type = 0x8
	Continuation   Type = 0x9
	PriorityUpdate Type = 0x10 // RFC 9218 7.1
)

var typeNames = [...]string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
	"WINDOW_UPDATE", "CONTINUATION", PriorityUpdate: "PRIORITY_UPDATE"}

// String returns the name in the RFC, or the number of an unknown type.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// The flags of frames. Which of them a frame may have depends on its type.
const (
	FlagEndStream  = 0x01 // DATA, HEADERS
	FlagAck        = 0x01 // SETTINGS, PING
	FlagEndHeaders = 0x04 // HEADERS, CONTINUATION
	FlagPadded     = 0x08 // DATA, HEADERS
	FlagPriority   = 0x20 // HEADERS
)

// Setting identifies a parameter of SETTINGS (RFC 9113 6.5.2).
type Setting uint16

// The settings.
const (
	HeaderTableSize       Setting = 0x1
	EnablePush            Setting = 0x2
	MaxConcurrentStreams  Setting = 0x3
	InitialWindowSize     Setting = 0x4
	MaxFrameSize          Setting = 0x5
	MaxHeaderListSize     Setting = 0x6
	EnableConnectProtocol Setting = 0x8 // RFC 8441 3
	NoRFC7540Priorities   Setting = 0x9 // RFC 9218 2.1
)

var settingNames = [...]string{HeaderTableSize: "HEADER_TABLE_SIZE", EnablePush: "ENABLE_PUSH",
	MaxConcurrentStreams: "MAX_CONCURRENT_STREAMS", InitialWindowSize: "INITIAL_WINDOW_SIZE",
	MaxFrameSize: "MAX_FRAME_SIZE", MaxHeaderListSize: "MAX_HEADER_LIST_SIZE",
	EnableConnectProtocol: "ENABLE_CONNECT_PROTOCOL", NoRFC7540Priorities: "NO_RFC7540_PRIORITIES"}

// String returns the name in the RFC, or the number of an unknown setting.
func (s Setting) String() string {
	if int(s) < len(settingNames) && settingNames[s] != "" {
		return settingNames[s]
	}
	return "setting " + strconv.Itoa(int(s))
}

// Code says why a stream or a conn ends (RFC 9113 7).
type Code uint32

// The codes.
const (
	NoError            Code = 0x0
	ProtocolError      Code = 0x1
	InternalError      Code = 0x2
	FlowControlError   Code = 0x3
	SettingsTimeout    Code = 0x4
	StreamClosed       Code = 0x5
	FrameSizeError     Code = 0x6
	RefusedStream      Code = 0x7 // not processed, may be sent again (8.7)
	Cancel             Code = 0x8
	CompressionError   Code = 0x9
	ConnectError       Code = 0xa
	EnhanceYourCalm    Code = 0xb
	InadequateSecurity Code = 0xc
	HTTP11Required     Code = 0xd
)

var codeNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR",
	"ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String returns the name in the RFC, or the number of an unknown code.
func (c Code) String() string {
	if int64(c) < int64(len(codeNames)) {
		return codeNames[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

package absent

var IsOurs = isOurs

// Made is of a type of this module that only a constructor makes.
type Made struct{ value any }

func NewMade() *Made { return &Made{value: 1} }

// Empty has nothing to set, and Func is no struct.
type (
	Empty struct{}
	Func  func()
)

// Open is of one that others fill in.
type Open struct {
	Now func()
}

// Which function, operands and results; requests that name what isn't there.
// RUN: twist-opt %s --twist-differentiate="function=f operands=1 results=0" | FileCheck %s
// RUN: not twist-opt %s --twist-differentiate="function=g" 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not twist-opt %s --twist-differentiate="operands=2" 2>&1 | FileCheck %s --check-prefix=OPERAND
// RUN: not twist-opt %s --twist-differentiate="results=7" 2>&1 | FileCheck %s --check-prefix=RESULT

// CHECK: func @f_gradient(%{{.+}}: tensor<4xf32>, %{{.+}}: tensor<4xf32>, %{{.+}}: index, %[[G:.+]]: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
// An operand that the result doesn't depend on has gradient zero.
// CHECK: %[[ZERO:.+]] = linalg.fill
// CHECK: return %{{.+}}, %{{.+}}, %[[ZERO]]
// NAME: error: has no function 'g'
// OPERAND: error: operand 2 is no tensor of floats
// RESULT: error: has no result 7
func.func @f(%a: tensor<4xf32>, %b: tensor<4xf32>, %n: index) -> (tensor<4xf32>, tensor<4xf32>) {
  return %a, %b : tensor<4xf32>, tensor<4xf32>
}

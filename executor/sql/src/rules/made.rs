//! Functions that rules put into plans. No statement can name them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

type Returns = dyn Fn(&[DataType]) -> Result<DataType> + Send + Sync;
type Apply = dyn Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync;

/// A function of arrays of equal length. Its name says all that it does: the engine takes functions of one name for the same.
pub(super) struct Made {
    name: String,
    signature: Signature,
    returns: Box<Returns>,
    apply: Box<Apply>,
}

impl Made {
    /// A function of so many arguments.
    pub(super) fn function(
        name: impl Into<String>,
        arguments: usize,
        returns: impl Fn(&[DataType]) -> Result<DataType> + Send + Sync + 'static,
        apply: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Arc<ScalarUDF> {
        let signature = Signature::any(arguments, Volatility::Immutable);
        let made = Self { name: name.into(), signature, returns: Box::new(returns), apply: Box::new(apply) };
        Arc::new(ScalarUDF::from(made))
    }

    /// A call of a function that gives a type.
    pub(super) fn call(
        name: impl Into<String>,
        args: Vec<Expr>,
        result: DataType,
        apply: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Expr {
        let function = Self::function(name, args.len(), move |_| Ok(result.clone()), apply);
        Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Made {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Made {}

impl Hash for Made {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Made {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        (self.returns)(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let result = (self.apply)(&ColumnarValue::values_to_arrays(&args.args)?)?;
        match is_one {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)),
            false => Ok(ColumnarValue::Array(result)),
        }
    }
}

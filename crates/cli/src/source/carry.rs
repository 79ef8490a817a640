//! The carried columns: one schema for all inputs, and every batch fitted to it.

use std::{collections::HashSet, path::Path, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::{can_cast_types, cast};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use imbed::core::{Error, ErrorKind, Result, arrow::StringsColumn};

use super::{PATH_COLUMN, batches::unreadable};

/// The schema of what is carried to the output, and whether its first column is the key.
pub(super) struct Carry {
    schema: SchemaRef,
    keyed: bool,
}

impl Carry {
    /// One schema for all `parts`, each with its table (`None` for files) and the columns that it brings.
    ///
    /// Tables must have the same columns. Beside tables, files have nulls in their columns, and rows of tables without a column
    /// `path` have a null there. The `key` comes first.
    pub(super) fn unify(parts: &[(Option<&Path>, Vec<FieldRef>)], key: Option<&str>) -> Result<Self> {
        let mut tables = parts.iter().filter_map(|(table, fields)| Some(((*table)?, fields)));
        let mut fields: Vec<Field> = Vec::new();
        if let Some((first, first_fields)) = tables.next() {
            check_unique(first, first_fields)?;
            fields = first_fields.iter().map(|f| f.as_ref().clone()).collect();
            for (table, other) in tables {
                check_same((first, first_fields), (table, other))?;
                for field in &mut fields {
                    let nullable = other.iter().any(|o| o.name() == field.name() && o.is_nullable());
                    field.set_nullable(field.is_nullable() || nullable);
                }
            }
            if parts.iter().any(|(table, _)| table.is_none()) {
                add_files(&mut fields, first)?;
            }
        } else if let Some((_, of_files)) = parts.first() {
            fields = of_files.iter().map(|f| f.as_ref().clone()).collect();
        }
        if let Some(key) = key {
            put_first(&mut fields, key)?;
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), keyed: key.is_some() })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// `batch` with exactly the columns of the schema.
    pub(super) fn fit(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let column = |field: &FieldRef| match batch.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), rows)),
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()).map_err(unreadable),
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(unreadable)
    }

    /// The key of each row as text, if the user named a key.
    pub(super) fn keys(&self, fitted: &RecordBatch) -> Result<Option<ArrayRef>> {
        if !self.keyed {
            return Ok(None);
        }
        cast(fitted.column(0), &DataType::Utf8).map(Some).map_err(unreadable)
    }
}

fn check_unique(table: &Path, fields: &[FieldRef]) -> Result<()> {
    let mut seen = HashSet::new();
    match fields.iter().find(|f| !seen.insert(f.name())) {
        None => Ok(()),
        Some(twice) => Err(Error::new(
            ErrorKind::BadInput,
            format!("{}: two columns are called '{}'", table.display(), twice.name()),
        )
        .hint("rename one of them")),
    }
}

fn check_same((first, of_first): (&Path, &[FieldRef]), (table, fields): (&Path, &[FieldRef])) -> Result<()> {
    let find = |fields: &[FieldRef], name: &str| fields.iter().find(|f| f.name() == name).cloned();
    let mut differences = Vec::new();
    for field in of_first {
        match find(fields, field.name()) {
            None => differences.push(format!("'{}' is missing", field.name())),
            Some(other) if !other.data_type().equals_datatype(field.data_type()) => {
                differences.push(format!("'{}' is {} and not {}", field.name(), other.data_type(), field.data_type()));
            }
            Some(_) => {}
        }
    }
    let additional = fields.iter().filter(|f| find(of_first, f.name()).is_none());
    differences.extend(additional.map(|f| format!("'{}' is additional", f.name())));
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BadInput,
        format!("{}: its columns are not those of {}", table.display(), first.display()),
    )
    .hint(format!("here {}; embed them one by one", differences.join(", "))))
}

/// Makes room for rows that are files beside rows of tables.
fn add_files(fields: &mut Vec<Field>, table: &Path) -> Result<()> {
    let mut has_path = false;
    for field in fields.iter_mut() {
        if field.name() != PATH_COLUMN {
            field.set_nullable(true);
        } else if StringsColumn::accepts(field.data_type()) {
            has_path = true;
        } else {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("{}: column 'path' is {}, and the path of a file is text", table.display(), field.data_type()),
            )
            .hint("embed the table and the files one by one"));
        }
    }
    if !has_path {
        fields.insert(0, Field::new(PATH_COLUMN, DataType::Utf8, true));
    }
    Ok(())
}

fn put_first(fields: &mut Vec<Field>, key: &str) -> Result<()> {
    let index = fields.iter().position(|f| f.name() == key).ok_or_else(|| {
        let schema = Schema::new(fields.clone());
        Error::new(ErrorKind::BadInput, format!("--key: there is no column '{key}' among those that are carried"))
            .hint(format!("columns: {}", describe_columns(&schema)))
    })?;
    let field = fields.remove(index);
    let is_bytes = matches!(field.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    if is_bytes || !can_cast_types(field.data_type(), &DataType::Utf8) {
        return Err(Error::new(
            ErrorKind::BadInput,
            format!("--key: column '{key}' of type {} names nothing", field.data_type()),
        )
        .hint("a key is text, a number or a date"));
    }
    fields.insert(0, field);
    Ok(())
}

/// The columns of `schema` with their types, for messages.
pub(crate) fn describe_columns(schema: &Schema) -> String {
    let columns: Vec<String> = schema.fields().iter().map(|f| format!("{}: {}", f.name(), f.data_type())).collect();
    if columns.is_empty() { "none".to_owned() } else { columns.join(", ") }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    fn fields(columns: &[(&str, DataType)]) -> Vec<FieldRef> {
        columns.iter().map(|(name, t)| Arc::new(Field::new(*name, t.clone(), false))).collect()
    }

    fn names(carry: &Carry) -> Vec<&str> {
        carry.schema.fields().iter().map(|f| f.name().as_str()).collect()
    }

    #[test]
    fn tables_with_other_columns_are_refused_with_the_difference() {
        let a = fields(&[("id", DataType::Int64), ("x", DataType::Utf8)]);
        let b = fields(&[("id", DataType::Utf8), ("y", DataType::Utf8)]);
        let error = Carry::unify(&[(Some(Path::new("a")), a), (Some(Path::new("b")), b)], None).err().unwrap();
        assert_eq!(error.message(), "b: its columns are not those of a");
        let hint = error.hint_text().unwrap();
        assert!(hint.contains("'id' is Utf8 and not Int64, 'x' is missing, 'y' is additional"), "{hint}");
    }

    #[test]
    fn columns_in_another_order_agree() {
        let a = fields(&[("id", DataType::Int64), ("x", DataType::Utf8)]);
        let b = fields(&[("x", DataType::Utf8), ("id", DataType::Int64)]);
        let carry = Carry::unify(&[(Some(Path::new("a")), a), (Some(Path::new("b")), b)], None).unwrap();
        assert_eq!(names(&carry), ["id", "x"]);
    }

    #[test]
    fn files_beside_tables_have_nulls_in_the_tables_columns() {
        let files = fields(&[("path", DataType::Utf8)]);
        let table = fields(&[("id", DataType::Int64)]);
        let carry = Carry::unify(&[(None, files), (Some(Path::new("t")), table)], None).unwrap();
        assert_eq!(names(&carry), ["path", "id"]);
        let file =
            RecordBatch::try_from_iter([("path", Arc::new(StringArray::from(vec!["a.jpg"])) as ArrayRef)]).unwrap();
        assert!(carry.fit(&file).unwrap().column(1).is_null(0));
        let row = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        assert!(carry.fit(&row).unwrap().column(0).is_null(0));
    }

    #[test]
    fn the_key_comes_first_and_must_exist() {
        let table = || vec![(Some(Path::new("t")), fields(&[("a", DataType::Utf8), ("id", DataType::Int64)]))];
        assert_eq!(names(&Carry::unify(&table(), Some("id")).unwrap()), ["id", "a"]);
        let error = Carry::unify(&table(), Some("sku")).err().unwrap();
        assert!(error.hint_text().unwrap().contains("a: Utf8, id: Int64"));
    }
}
